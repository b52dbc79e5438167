#include "node/health_watch.h"

#include <string>

#include "node/log.h"

namespace dhrt {

namespace {

constexpr Duration look_interval{1000};
// Nothing for so long: it is over.
constexpr Duration calm{5000};

}  // namespace

HealthWatch::Symptom::News HealthWatch::Symptom::look(std::uint64_t sum, Time now) {
  const bool grown = sum > seen;
  seen = sum;
  if (grown) last_grown = now;
  const bool before = goes_on;
  goes_on = grown || (before && now - last_grown < calm);
  if (goes_on == before) return News::none;
  return goes_on ? News::begins : News::is_over;
}

void HealthWatch::look(Time now) {
  if (now - looked_ < look_interval) return;
  looked_ = now;
  const EngineFigures figures = engine_.figures();
  const auto refusing = refusing_.look(figures.writes_refused, now);
  const auto slowing = slowing_.look(figures.throttled_milliseconds, now);
  const std::string waiting = std::to_string(figures.unflushed_bytes);
  if (refusing == Symptom::News::begins)
    log_error("writes are refused; their clients are told why",
              {{"refused_so_far", std::to_string(figures.writes_refused)},
               {"memory_bytes", std::to_string(figures.memory_bytes)},
               {"unflushed_bytes", waiting}});
  if (refusing == Symptom::News::is_over) log_info("writes are not refused any more");
  if (slowing == Symptom::News::begins)
    log_warning("writes are slowed down: the files do not keep up",
                {{"unflushed_bytes", waiting}, {"limit", "--unflushed-max"}});
  if (slowing == Symptom::News::is_over) log_info("writes are not slowed down any more");
  if (figures.damaged_files.size() > damaged_files_) {
    for (const std::string& damage : figures.damaged_files)
      log_error("a file is not used any more", {{"reason", damage}});
  }
  damaged_files_ = figures.damaged_files.size();
}

}  // namespace dhrt
