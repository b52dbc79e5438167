// Reads one RESP2 reply without copying: what the load generator needs, at a few nanoseconds each.
// (protocol/resp.h reads the same replies into owned values.)
//
// Bounds: no arrays; a line longer than 64 KiB, or a bulk string above 512 MiB, is malformed.
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

}  // namespace dhrt::bench
