// Every limit on what a client may send, with its reason and the flag that moves it.
#pragma once

#include <cstddef>

#include "storage/record.h"

namespace dhrt {

struct ProtocolLimits {
  // --max-value-bytes. What one client may make the node hold for one value.
  std::size_t value_bytes_max = std::size_t{16} << 20;
  // A command line without its value: names, keys and flags fit many times over.
  std::size_t line_bytes_max = std::size_t{64} << 10;
  // Arguments of one command; an mget of a million keys is the largest in use.
  std::size_t arguments_max = 1048576;
  // Request line and headers of one HTTP request, as other servers have it.
  std::size_t header_bytes_max = std::size_t{64} << 10;
};

// The first line decides the dialect; without a line end within this much it is no HTTP.
inline constexpr std::size_t sniff_bytes_max = std::size_t{64} << 10;

}  // namespace dhrt
