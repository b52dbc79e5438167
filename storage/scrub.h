// Reads all files again by and by, to find what the disk has damaged before somebody asks for it.
//
// Intuition: a pass goes over every file of every collection, a small slice at a time: first over
// its pages, which LMDB believes as they are, then over its records in key order. The first begins
// with the start, each further one a day after the one before it began; a pass that takes longer
// than a day is followed at once by the next.
//
// Units: bytes of pages, and then of keys and records, per second. Bounds: a slice of
// slice_bytes_max and one record per call. Errors: a file that cannot be read is counted and passed
// over. Threads: the checkpoint's, which calls when it has nothing else to do.
#pragma once

#include <string>
#include <vector>

#include "storage/base/time.h"
#include "storage/engine_collection.h"
#include "storage/engine_shared.h"
#include "storage/lmdb_pages.h"

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
  void next_file();
  Result<bool> read_slice(std::size_t bytes_max, EngineCollection::Scrubbed& done);

  EngineShared& shared_;
  bool in_pass_ = false;
  bool ever_ = false;
  Time began_;
  Time next_slice_;
  std::vector<std::string> collections_;  // Still to be read; the last one first.
  bool in_records_ = false;               // Of that one; its pages come before.
  LmdbPlace place_;                       // How far that is, in pages,
  std::string from_;                      // and in records.
};

}  // namespace dhrt
