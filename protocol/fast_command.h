// Requests that are mere reads and writes of one key, recognised many at a time without a copy.
//
// Intuition: a client that pipelines sends runs of such requests. Known together, their keys can
// be hashed and fetched into the processor's cache together, which takes most of the time that
// one of them alone takes. Anything that needs a second look is not of this kind.
//
// Bounds: a batch holds fast_commands_max. Everything is borrowed from the input.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "storage/base/bytes.h"

namespace dhrt {

struct FastCommand {
  enum class Kind : std::uint8_t { get, set };
  Kind kind;
  Bytes collection;    // Empty: the default one.
  Bytes key;           // Not checked.
  Bytes value;         // Of a set. Not checked.
  std::size_t end;     // Of the request, in the input.
  std::uint64_t hash;  // Of the key, by who executes it.
};

// Twice what the usual pipeline holds, and small enough to stay in the first cache.
inline constexpr std::size_t fast_commands_max = 128;

class FastBatch {
 public:
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == fast_commands_max; }
  std::size_t size() const { return size_; }
  FastCommand& operator[](std::size_t index) { return commands_[index]; }
  FastCommand* begin() { return commands_.data(); }
  FastCommand* end() { return commands_.data() + size_; }

  void clear() { size_ = 0; }
  // The place behind the last; it belongs to the batch after add(). Not full.
  FastCommand& next() { return commands_[size_]; }
  void add() { ++size_; }

 private:
  std::size_t size_ = 0;
  std::array<FastCommand, fast_commands_max> commands_;
};

}  // namespace dhrt
