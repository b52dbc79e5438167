// Reads one reply of RESP2, memcached or HTTP without copying: what the load generator needs, at a
// few nanoseconds each. (protocol/resp.h reads RESP2 into owned values.)
//
// Bounds: no arrays; a line or an HTTP head longer than 64 KiB, or a value above 512 MiB, is
// malformed. HTTP: bodies with a Content-Length.
// Errors: kind `malformed`; the connection cannot be used further.   Threads: any.
#pragma once

#include <cstddef>

#include "storage/base/bytes.h"

namespace dhrt::bench {

enum class ReplyKind { need_more, malformed, simple, error, integer, bulk, nil };

struct ReplyView {
  ReplyKind kind = ReplyKind::need_more;
  Bytes text;                // Borrows from the input: the line, or the bulk string.
  std::size_t consumed = 0;  // Bytes of input; 0 for need_more and malformed.
};

// Reads the reply at the front of `input`.
ReplyView read_reply(Bytes input);
// STORED is the simple string OK; END alone is nil.
ReplyView read_memcached_reply(Bytes input);
// 200 is a bulk string, 201 and 204 are the simple string OK, 404 is nil; others are errors.
ReplyView read_http_reply(Bytes input);

}  // namespace dhrt::bench
