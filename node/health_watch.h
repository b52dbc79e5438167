// Says in the log when the storage engine begins to refuse or to slow down writes, and when that
// is over; once each, however many writes it concerns. Says which files are
// not used any more, and why.
//
// Threads: one, that of whoever looks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "storage/base/time.h"
#include "storage/engine.h"

namespace dhrt {

class HealthWatch {
 public:
  // `engine` outlives the watch.
  explicit HealthWatch(const Engine& engine) : engine_(engine) {}
  // Call often; looks once a second.
  void look(Time now);

 private:
  // A sum that the engine keeps: while it grows, something goes on.
  struct Symptom {
    std::uint64_t seen = 0;
    bool goes_on = false;
    Time last_grown;

    enum class News { none, begins, is_over };
    News look(std::uint64_t sum, Time now);
  };

  const Engine& engine_;
  Time looked_{};
  Symptom refusing_;
  Symptom slowing_;
  std::size_t damaged_files_ = 0;
};

}  // namespace dhrt
