// Inline commands: a line of words, as people type them into telnet, with the quoting of Redis.
//
//   line := space* (word space*)* CR? LF
//   word := (byte but blanks and quotes)* quoted?         a quoted part ends its word
//   quoted := '"' (byte but '"' and '\', or \" \\ \n \r \t \b \a \xHH, or \ any byte for itself)*
//   '"'
//           | "'" (byte but "'", or \')* "'"
//
// A line without words is an empty command, to be ignored. A zero byte ends what is read of a line.
// Errors begin as Redis words them ("Protocol error: ..."); the connection is to be closed.
// Bounds: a line has at most inline_bytes_max.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt::resp {

inline constexpr std::size_t inline_bytes_max = std::size_t{64} << 10;

struct InlineCommand {
  std::vector<std::string> words;
  std::size_t consumed = 0;  // Bytes of input, line end included.
  std::string error;         // Behind "ERR "; `words` is empty then. After it: close.
};

// Reads a line at the front of `input`; absent: more bytes are needed. A caller that keeps
// `searched` (bytes known to hold no line end, 0 at first) makes reading a line that comes in
// pieces linear; it is updated.
std::optional<InlineCommand> read_inline(Bytes input, std::size_t& searched);

// The words of a line without its end. Absent: quotes are unbalanced.
std::optional<std::vector<std::string>> split_inline(Bytes line);

}  // namespace dhrt::resp
