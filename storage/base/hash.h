// Hashes of bytes (XXH3). Not secret: for checksums, tables and digests, never for signatures.
// The values are part of the disk and wire formats.
#pragma once

#include <cstdint>

#include "storage/base/bytes.h"

namespace dhrt {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  auto operator<=>(const Hash128&) const = default;
};

std::uint64_t hash64(Bytes bytes);
Hash128 hash128(Bytes bytes);

}  // namespace dhrt
