// RESP2, the reply form of native text lines; the reader serves our own command line, which speaks
// text to a node. What Redis clients are answered is written with resp_writer.h.
//
// Writer: line breaks in an error or a simple string become spaces, for they would end it.
// Reader: total, at most `reply_depth_max` arrays deep, bounded by what the caller lets in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "protocol/reply.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt::resp {

void append_reply(std::string& out, const Reply& reply);
// The same without a Reply to be made first.
void append_bulk(std::string& out, Bytes bytes);
// `type`, a number, a line end: an integer, or the head of an array.
void append_number_line(std::string& out, char type, std::int64_t number);
// `type`, text, a line end: a simple string or an error.
void append_text_line(std::string& out, char type, Bytes text);
inline void append_ok(std::string& out) {
  out += Bytes("+OK\r\n");
}

inline constexpr std::size_t reply_depth_max = 8;

struct ParsedReply {
  Reply reply;
  std::size_t consumed = 0;
};
// Absent: more bytes are needed. Error: these bytes are no reply.
Result<std::optional<ParsedReply>> parse_reply(Bytes input);

}  // namespace dhrt::resp
