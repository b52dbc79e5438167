// Which dialect a client speaks, told by its first bytes. No dialect speaks first.
//
// Leading CR and LF are skipped (`skipped` of them). The decision never changes when more bytes
// come, and is made as early as the bytes allow; until then it is `undecided`.
#pragma once

#include <cstddef>

#include "storage/base/bytes.h"

namespace dhrt {

enum class Dialect {
  undecided,
  text,  // Anything that is nothing else.
  resp,  // '*'
  http,  // METHOD target HTTP/d.d: upper-case method, target /, http(s)://, * or host:port.
  http_too_long,  // "METHOD /" and no line end within sniff_bytes_max: answer 414.
  tls,            // 16 03
  peer_control,   // 00 'd' 'h' 'r' 't', a version byte, 0
  peer_bulk,      // the same, 1
};

struct Sniffed {
  Dialect dialect = Dialect::undecided;
  std::size_t skipped = 0;
};

Sniffed sniff(Bytes input);

// 00 'd' 'h' 'r' 't', version byte, class byte: what a node sends first on a peer link.
inline constexpr Bytes peer_magic = {"\0dhrt", 5};
inline constexpr std::size_t peer_preface_bytes = 7;

}  // namespace dhrt
