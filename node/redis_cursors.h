// Where the scans of Redis clients go on: numbers that stand for keys.
//
// Intuition: our scans go on behind a key, and SCAN's cursor is a number. A number is given for
// every page and stands for the first key of the next one, on whatever connection and event loop
// it comes back; a client may ask for a page again. Numbers are not reused, so that one that was
// forgotten is told from all others and never ends a scan silently.
//
// Bounds: cursors_max; the oldest are forgotten. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace dhrt {

class RedisCursors {
 public:
  struct Place {
    std::string collection;
    std::string key;
  };
  std::uint64_t give(Place place);
  // Absent: never given, or forgotten.
  std::optional<Place> find(std::uint64_t cursor) const;

 private:
  static constexpr std::size_t cursors_max = 16384;
  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Place> places_;
};

}  // namespace dhrt
