// Native text lines: one command a line, as typed into nc, the CLI and the REPL.
//
//   line   := token (' '+ token)* CR? LF
//   token  := bare | '"' (byte but '"' and '\', or \" \\ \n \r \t \xHH)* '"'
//   a bare token that begins with "--" is a flag: --name, --name=value, or --name value
//
// A blank line is an empty command, to be ignored. A quoted token is never a flag. Quotes open
// only at the start of a token; a bare token may hold any byte but space and LF.
// Errors (invalid_argument): unbalanced quotes, a bad escape, text behind a closing quote,
// too many arguments. The line is consumed; the connection stays usable.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "protocol/limits.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt::text {

struct Token {
  std::string text;
  bool quoted = false;

  bool operator==(const Token&) const = default;
};

struct Line {
  std::vector<Token> tokens;
  std::size_t consumed = 0;  // Bytes of input, line end included.
  // Set when the line is bad: what the client is told, behind "ERR ". `tokens` is then empty.
  std::optional<std::string> error;
  // The line is longer than line_bytes_max + value_bytes_max: answer, then close.
  bool closes = false;
};

// Reads one line from the front of `input`; absent: more bytes are needed.
// A caller that keeps `searched` (bytes known to hold no line end, 0 at first) makes reading a
// long line that arrives in pieces linear; it is updated.
std::optional<Line> parse_line(Bytes input, const ProtocolLimits& limits, std::size_t& searched);

// The tokens of a line without its end, as parse_line reads them; for the REPL.
Result<std::vector<Token>> tokenize(Bytes line, const ProtocolLimits& limits);

// A token as it must be written to be read back as the same bytes (bare if it can be).
std::string quote(Bytes bytes);
// The same for a whole line without its end; bare tokens stay flags. "--from=a b" cannot be
// bare and is written as --from "a b".
std::string to_line(const std::vector<Token>& tokens);

}  // namespace dhrt::text
