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

// --- On the listeners of other dialects. A page of any site can make a browser send HTTP to any
// port, with lines of the page's choice behind the head: none of it may be taken for requests.

enum class Http { no, undecided, yes };
// Whether the first bytes of a connection are a request of HTTP. Other than for sniff() the method
// is any word, as a page may make one up, and a line that does not end is one. Decided within
// sniff_bytes_max, and as sniff() decides.
Http begins_with_http(Bytes input);

// Whether a line with this word in front is one that every request of a browser has before its
// body, as Redis has it: "POST" or "Host:", in any case.
bool is_word_of_http(Bytes word);

// What the client is told then, before it is cut off.
inline constexpr Bytes http_not_spoken = "this looks like HTTP, which is not spoken here";

// 00 'd' 'h' 'r' 't', version byte, class byte: what a node sends first on a peer link.
inline constexpr Bytes peer_magic = {"\0dhrt", 5};
inline constexpr std::size_t peer_preface_bytes = 7;

}  // namespace dhrt
