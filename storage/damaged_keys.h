// The keys of one collection whose record in the file is damaged: its checksum is wrong, or it
// does not decode at all.
//
// Intuition: who reads such a record notes its key; the one who can ask other nodes takes what is
// new and asks them; the write that puts an intact record in its place resolves it.
//
// Bounds: keys_max keys; what is found beyond that is left for another time it is met.
// Threads: any; the lock is held last.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt {

class DamagedKeys {
 public:
  static constexpr std::size_t keys_max = 1024;

  // True if it was not known yet.
  bool note(Bytes key);
  // True if it was known: it is not damaged any more.
  bool resolve(Bytes key);
  // Those noted since the last call.
  std::vector<std::string> take();
  // Cheap: asked by every write.
  bool none() const { return size() == 0; }
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;                               // Guards what follows.
  std::map<std::string, bool, std::less<>> keys_;  // Whether it was taken.
  std::atomic<std::size_t> size_{0};
};

}  // namespace dhrt
