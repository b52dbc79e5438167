// Hermod's protocol, API 0.3 and 0.4: text messages that end in byte 4.
//
//   greeting := "auth:" token LF 4? | "auth:" token 4      the first is API 0.3, the second 0.4
//   message  := request 4
//   request  := "get" key "from" table | "del" key "from" table | "set" key "in" table "to" data
//             | "sup gettab" | "sup getlen" table | "sup create" table | "sup delete" table | "ext"
//
// A token may stand in double quotes. Another first message is a client without a token; it is
// served behind the greeting. Keys may hold blanks and the words of the grammar, tables may not:
// of several readings of `get` the last "from" counts, of `set` the first "in" with a "to" behind
// one word. A message that is too long is dropped as it arrives.
//
//   reply    := data '{' nanoseconds (12 columns) ' ' code (3 columns) '}' 4
//
// Bounds: a greeting by line_bytes_max, a message by that and value_bytes_max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "protocol/limits.h"
#include "storage/base/bytes.h"

namespace dhrt::hermod {

enum class Api { v0_3, v0_4 };
// How replies end, which depends on the release that a client was written for: as the manual says,
// or with a byte, and then also with a byte 4 between a value and its tail.
enum class Terminator { manual, byte_4, byte_17, byte_23 };

enum class Verb {
  none,
  get,
  set,
  remove,
  list_tables,
  table_length,
  create_table,
  delete_table,
  bad_super,  // "sup", and nothing that there is.
  leave
};

// Borrows from its message. What a verb has no use for is empty.
struct Request {
  Verb verb = Verb::none;
  Bytes key;
  Bytes table;
  Bytes data;

  bool operator==(const Request&) const = default;
};
Request parse_request(Bytes message);

class Reader {
 public:
  struct Read {
    enum class Outcome { need_more, greeting, message, too_long };
    Outcome outcome = Outcome::need_more;
    // Bytes at the front of the input that are done with. None, with a greeting: the input is a
    // message, too.
    std::size_t consumed = 0;
    Api api = Api::v0_4;           // Of a greeting.
    std::optional<Bytes> token{};  // The same.
    Bytes message{};
  };
  // Reads at the front of `input`: a greeting first, then messages. After need_more, `input` begins
  // next time with the same bytes, without those consumed, and only what is new is looked at.
  Read read(Bytes input, const ProtocolLimits& limits);

 private:
  Read read_greeting(Bytes input, const ProtocolLimits& limits);
  Read read_message(Bytes input, Bytes ends, std::size_t bytes_max);

  bool greeted_ = false;
  bool skips_end_ = false;    // A byte 4 that comes now belongs to the greeting.
  std::size_t searched_ = 0;  // Bytes that hold no end.
  bool dropping_ = false;
};

void append_greeting(std::string& out, Api api, bool authorised);
struct Tail {
  std::uint64_t nanoseconds = 0;
  unsigned code = 200;
};
void append_reply(std::string& out, Bytes data, const Tail& tail, Terminator terminator);
// The data is what was stored, which `get` alone gives.
void append_value_reply(std::string& out, Bytes value, const Tail& tail, Terminator terminator);
Bytes farewell(Api api);

// A value that holds the end of a message cannot be told.
inline bool can_tell(Bytes value) {
  return value.find('\4') == Bytes::npos;
}

}  // namespace dhrt::hermod
