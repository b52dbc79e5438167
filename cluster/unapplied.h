// What a session has given to the store, and is not durable there yet.
//
// Intuition: a peer may send faster than our disk writes. What was asked for on and on would fill
// the store's limit of what is not in its files, and then it refuses all. So no more is asked for
// than some bytes ahead of the disk.
// Bounds: as many tokens as slices are under way. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <map>

#include "cluster/actions.h"

namespace dhrt {

class Unapplied {
 public:
  void add(Token token, std::uint64_t bytes) {
    tokens_.emplace(token, bytes);
    bytes_ += bytes;
  }
  // False: it is not one of these.
  bool erase(Token token) {
    const auto found = tokens_.find(token);
    if (found == tokens_.end()) return false;
    bytes_ -= found->second;
    tokens_.erase(found);
    return true;
  }
  bool empty() const { return tokens_.empty(); }
  // Whether so much more is within the limit.
  bool has_room_for(std::uint64_t bytes, std::uint64_t bytes_max) const {
    return bytes_ + bytes <= bytes_max;
  }

 private:
  std::map<Token, std::uint64_t> tokens_;
  std::uint64_t bytes_ = 0;
};

}  // namespace dhrt
