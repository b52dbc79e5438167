// What every fuzz target needs. A target states an invariant with check(), which ends the
// process; libFuzzer then keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>

#include "storage/base/bytes.h"
#include "storage/base/check.h"
#include "storage/base/hash.h"

// libFuzzer calls it by this name.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace dhrt::fuzz {

inline Bytes bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Somewhere in the input or at its ends; always the same for one input.
inline std::size_t split_of(Bytes input) {
  return hash64(input) % (input.size() + 1);
}

}  // namespace dhrt::fuzz
