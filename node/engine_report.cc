#include "node/engine_report.h"

#include <initializer_list>
#include <utility>

namespace dhrt {

namespace {

using Numbers = std::initializer_list<std::pair<Bytes, std::uint64_t>>;

void write_numbers(json::Writer& writer, Numbers numbers) {
  for (const auto& [name, value] : numbers)
    writer.key(name).number(value);
}

void write_group(json::Writer& writer, Bytes name, Numbers numbers) {
  writer.key(name).begin_object();
  write_numbers(writer, numbers);
  writer.end_object();
}

void write_logs(json::Writer& writer, const EngineFigures& figures) {
  LogWriter::Figures sum;
  std::uint64_t appended = 0;
  std::uint64_t synced = 0;
  std::uint64_t sync_threads = 0;
  for (const EngineFigures::OfLog& one : figures.logs) {
    sum.frames += one.log.frames;
    sum.bytes += one.log.bytes;
    sum.syncs += one.log.syncs;
    sum.sync_microseconds += one.log.sync_microseconds;
    sum.segments += one.log.segments;
    sum.bytes_unreleased += one.log.bytes_unreleased;
    appended += one.appended;
    synced += one.synced;
    sync_threads += one.log.sync_thread ? 1 : 0;
  }
  write_group(writer, "log",
              {{"frames", sum.frames},
               {"bytes", sum.bytes},
               {"syncs", sum.syncs},
               {"sync_microseconds", sum.sync_microseconds},
               {"sync_threads", sync_threads},
               {"appended_position", appended},
               {"synced_position", synced},
               {"segments", sum.segments},
               {"bytes_unreleased", sum.bytes_unreleased},
               {"replayed_records", figures.replayed_records},
               {"torn_bytes_cut", figures.torn_bytes_cut}});
}

}  // namespace

void write_engine_figures(json::Writer& writer, const EngineFigures& figures) {
  write_logs(writer, figures);
  write_group(writer, "checkpoint",
              {{"count", figures.checkpoints},
               {"records", figures.checkpoint_records},
               {"milliseconds", figures.checkpoint_milliseconds},
               {"unflushed_records", figures.unflushed_records},
               {"unflushed_bytes", figures.unflushed_bytes},
               {"throttled_milliseconds", figures.throttled_milliseconds},
               {"copy_bytes_max", figures.checkpoint_copy_bytes},
               {"file_bytes", figures.file_bytes}});
  write_group(writer, "memory",
              {{"records", figures.records_in_memory},
               {"bytes", figures.memory_bytes},
               {"records_moved", figures.relocated}});
  write_group(writer, "cache",
              {{"hits", figures.cache_hits},
               {"misses", figures.cache_misses},
               {"evictions", figures.evictions}});
  write_group(writer, "scrub",
              {{"passes", figures.scrub_passes},
               {"records", figures.scrubbed_records},
               {"bytes", figures.scrubbed_bytes},
               {"failures", figures.scrub_failures}});
  write_numbers(writer, {{"writes_refused", figures.writes_refused},
                         {"records_expired", figures.expired},
                         {"records_quarantined", figures.quarantined},
                         {"records_healed", figures.healed},
                         {"records_damaged", figures.damaged},
                         {"files_damaged", figures.damaged_files.size()}});
}

}  // namespace dhrt
