// Every limit on what a client may send, with its reason and the flag that moves it.
#pragma once

#include <algorithm>
#include <cstddef>

#include "storage/record.h"

namespace dhrt {

struct ProtocolLimits {
  // --max-value-bytes. What one client may make the node hold for one value.
  std::size_t value_bytes_max = std::size_t{16} << 20;
  // What one command may have beside one such value: very many small words.
  std::size_t words_bytes_max = std::size_t{64} << 20;
  // A command line without its value: names, keys and flags fit many times over.
  std::size_t line_bytes_max = std::size_t{64} << 10;
  // Arguments of one command; an mget of a million keys is the largest in use.
  std::size_t arguments_max = 1048576;
  // Request line and headers of one HTTP request, as other servers have it.
  std::size_t header_bytes_max = std::size_t{64} << 10;
};

// Of who has shown no token where one is needed: whatever shows it fits, and the node keeps no more
// of a client that it does not know.
inline constexpr std::size_t bytes_before_token_max = std::size_t{64} << 10;

inline ProtocolLimits before_token(ProtocolLimits limits) {
  constexpr std::size_t words = 16;
  constexpr std::size_t bytes_beside_one = 1024;  // Or each of them could be as long.
  limits.value_bytes_max = std::min(limits.value_bytes_max, bytes_before_token_max);
  limits.words_bytes_max = bytes_beside_one;
  limits.arguments_max = std::min(limits.arguments_max, words);
  return limits;
}

// Of the type that is kept with a value: RFC 6838 (section 4.2) gives both halves of a name 127
// characters, so that what is longer has parameters that nobody wrote by hand. Every record carries
// it, and every reader of the value is sent it.
inline constexpr std::size_t content_type_bytes_max = 255;

// The first line decides the dialect; without a line end within this much it is no HTTP.
inline constexpr std::size_t sniff_bytes_max = std::size_t{64} << 10;

}  // namespace dhrt
