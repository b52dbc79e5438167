// Reads all files again by and by, to find what the disk has damaged before somebody asks for it.
//
// Intuition: a pass goes over every file of every collection in key order, a small slice at a
// time, and verifies each record. The first begins with the start, each further one a day after
// the one before it began; a pass that takes longer than a day is followed at once by the next.
//
// Units: bytes of keys and records per second. Bounds: a slice of slice_bytes_max and one record
// per call. Errors: a file that cannot be read is counted and passed over.
// Threads: the checkpoint's, which calls when it has nothing else to do.
#pragma once

#include <string>
#include <vector>

#include "storage/base/time.h"
#include "storage/engine_shared.h"

namespace dhrt {

class Scrub {
 public:
  static constexpr std::size_t slice_bytes_max = std::size_t{256} << 10;

  // `shared` outlives it.
  explicit Scrub(EngineShared& shared) : shared_(shared) {}
  // Reads a slice if the rate allows one now.
  void tick(Time now);

 private:
  bool begins_pass(Time now);
  void next_slice(Time now);

  EngineShared& shared_;
  bool in_pass_ = false;
  bool ever_ = false;
  Time began_;
  Time next_slice_;
  std::vector<std::string> collections_;  // Still to be read; the last one first.
  std::string from_;                      // How far that is.
};

}  // namespace dhrt
