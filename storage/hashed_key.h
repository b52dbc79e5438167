// A key with its hash, taken once: stripe, slot and tag all come from it.
#pragma once

#include <cstdint>

#include "storage/base/bytes.h"
#include "storage/base/hash.h"

namespace dhrt {

// Borrows the key.
struct HashedKey {
  explicit HashedKey(Bytes key) : bytes(key), hash(hash64(key)) {}
  HashedKey(Bytes key, std::uint64_t hash_of_key) : bytes(key), hash(hash_of_key) {}

  Bytes bytes;
  std::uint64_t hash;
};

// The first eight bytes of a key as a number, which orders like them.
inline std::uint64_t begin_of(Bytes key) {
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i < 8; ++i)
    begin = begin << 8 | (i < key.size() ? static_cast<std::uint8_t>(key[i]) : 0);
  return begin;
}

}  // namespace dhrt
