// Hati's text protocol: one request a line, words between single spaces.
//
//   line     := ' '* request ' '* CR? LF
//   request  := "SET" type ttl key value | "GET" type key | "HAS" type key | "DELETE" type key
//             | "COUNT" type | "FLUSHALL" type | "STATS" | "AUTH" token
//   ttl      := milliseconds; 0, negative or no number: none
//   value    := the rest of the line, blanks and all, so that only its end cannot be one
//
// Words are as written here, in upper case. A type may be any word: which ones there are is not
// known here. Anything else is no request, and so is one whose key or value is missing or above
// its limit. A line that is too long is dropped as it arrives, and is then no request either.
// Bounds: a line by line_bytes_max + value_bytes_max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/limits.h"
#include "storage/base/bytes.h"

namespace dhrt::hati {

enum class Verb { none, set, get, has, remove, count, flush_all, stats, auth };

// Borrows from its line. What a verb has no use for is empty.
struct Request {
  Verb verb = Verb::none;
  Bytes type;
  Bytes key;
  Bytes value;  // Of AUTH: the token.
  std::uint64_t ttl_milliseconds = 0;

  bool operator==(const Request&) const = default;
};

// Of a line without its LF.
Request parse_request(Bytes line, const ProtocolLimits& limits);
bool only_reads(Verb verb);

class LineReader {
 public:
  struct Read {
    std::size_t consumed = 0;  // Bytes at the front of the input that are done with.
    bool complete = false;     // There is a request; otherwise more is needed.
    Request request;           // Borrows from the input.
  };
  // Reads at the front of `input`. A line above the limits is a request of no verb as soon as that
  // is known, and the rest of it is dropped. After an incomplete one, `input` begins next time with
  // the same bytes, without those consumed, and only what is new is looked at.
  Read read(Bytes input, const ProtocolLimits& limits);

 private:
  std::size_t searched_ = 0;  // Bytes that hold no line end.
  bool dropping_ = false;
};

// --- Replies.
inline constexpr Bytes ok_reply = "+OK\n";
inline constexpr Bytes error_reply = "+ERR\n\n";
inline constexpr Bytes miss_reply = "KEY_NOT_EXIST\n";
inline constexpr Bytes bad_type_reply = "INVALID_STORAGE_TYPE\n";
inline constexpr Bytes nothing_reply = "\n";
// A value, or what is told about the node.
void append_line(std::string& out, Bytes text);
void append_count(std::string& out, std::uint64_t count);

// A ttl as Hati takes it, in any of its dialects.
std::uint64_t ttl_of(Bytes text);

}  // namespace dhrt::hati
