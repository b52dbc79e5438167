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

}  // namespace dhrt
