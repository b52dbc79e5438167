// The words of the servers that are compared: how a SET and a GET are said, and how the reply
// looks that everything well brings.
//
// Intuition: requests and replies of one run have one length each, so a request is a template in
// which only the key changes, and a reply is compared with what it should be instead of parsed.
//
//   text       SET k v\r\n                     +OK\r\n         $100\r\n<value>\r\n        dhrt,
//   Redis resp       *3\r\n$3\r\nSET\r\n ...         likewise Redis memcached  set k 0 0
//   100\r\n<value>\r\n    STORED\r\n      VALUE k 0 100\r\n ... END\r\n http       PUT /default/k
//   HTTP/1.1 ...     a head and a body, of any length
//
// Bounds: those of the workload.   Errors: none.   Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/bytes.h"
#include "tests/bench/reply.h"

namespace dhrt::bench {

enum class Dialect { text, resp, memcached, http };

inline constexpr std::size_t nowhere = Bytes::npos;

// Bytes in which only a key changes.
struct Template {
  std::string bytes;
  std::size_t key_at = nowhere;
  std::size_t value_at = nowhere;  // The value begins with the key, too.
};

struct Phrases {
  Template set;
  Template get;
  Template set_reply;  // Empty: not the same each time.
  Template get_reply;
};

// `key`: some key of the length that all have; `value`: likewise, beginning with a key. `ack`: the
// level of a SET, in the text of dhrt; empty: none is named.
Phrases phrases_of(Dialect dialect, Bytes key, Bytes value, Bytes ack = {});

// Reads the reply at the front of `input`, whatever it is.
ReplyView read_reply_of(Dialect dialect, Bytes input);

}  // namespace dhrt::bench
