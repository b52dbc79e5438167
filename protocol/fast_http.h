// Recognises the plain form of GET and PUT requests, as most clients send them (protocol/http.h
// reads all others):
//
//   GET or PUT, /SEGMENT or /SEGMENT/SEGMENT without escapes or query, HTTP/1.1, headers that
//   change nothing but what is told here, one Host, and for PUT one Content-Length.
//
// What it recognises the parser reads the same way; a header it does not know, or one twice,
// a byte out of the ordinary, a request that is not all there: everything else is the parser's.
#pragma once

#include <optional>

#include "protocol/limits.h"
#include "storage/base/bytes.h"

namespace dhrt::http {

// Borrows from the input.
struct FastRequest {
  bool puts = false;
  Bytes collection;  // Empty: the path is one word.
  Bytes key;
  Bytes host;
  Bytes accept;
  Bytes content_type;
  Bytes body;
  std::size_t end = 0;  // Of the request, in the input.
};

std::optional<FastRequest> recognise(Bytes input, const ProtocolLimits& limits);

}  // namespace dhrt::http
