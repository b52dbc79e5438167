#include "protocol/text.h"

#include <algorithm>
#include <utility>

namespace dhrt::text {

namespace {

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return {};
}

tl::unexpected<Error> bad_line(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

// Appends what the escape at the front of `line` stands for and drops it.
Status take_escape(Bytes& line, std::string& out) {
  constexpr Bytes letters = "\"\\nrt";
  constexpr Bytes meanings = "\"\\\n\r\t";
  if (line.size() < 2)
    return bad_line("unbalanced quotes: the line ends behind '\\'; close the token with '\"'");
  if (const std::size_t at = letters.find(line[1]); at != Bytes::npos) {
    out += meanings[at];
    line.remove_prefix(2);
    return {};
  }
  const auto high = line[1] == 'x' && line.size() >= 4 ? hex_digit(line[2]) : std::nullopt;
  const auto low = high ? hex_digit(line[3]) : std::nullopt;
  if (!low) return bad_line(R"(unknown escape in quotes; the escapes are \" \\ \n \r \t and \xHH)");
  out += static_cast<char>(*high * 16 + *low);
  line.remove_prefix(4);
  return {};
}

// `line` begins behind the opening quote; afterwards it begins behind the closing one.
Result<Token> take_quoted(Bytes& line) {
  Token token{.text = {}, .quoted = true};
  for (;;) {
    const std::size_t plain = std::min(line.find_first_of("\"\\"), line.size());
    token.text += line.substr(0, plain);
    line.remove_prefix(plain);
    if (line.empty()) return bad_line("unbalanced quotes: close the quoted token with '\"'");
    if (line.front() == '"') break;
    if (auto escape = take_escape(line, token.text); !escape)
      return tl::unexpected(std::move(escape.error()));
  }
  line.remove_prefix(1);
  if (!line.empty() && line.front() != ' ')
    return bad_line("text right behind a closing quote; put a space there or escape the quote");
  return token;
}

Token take_bare(Bytes& line) {
  const std::size_t length = std::min(line.find(' '), line.size());
  Token token{.text = std::string(line.substr(0, length)), .quoted = false};
  line.remove_prefix(length);
  return token;
}

std::string too_long(const ProtocolLimits& limits) {
  return "line is longer than " + std::to_string(limits.line_bytes_max + limits.value_bytes_max) +
         " bytes; raise --max-value-bytes (now " + std::to_string(limits.value_bytes_max) + ")";
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
}

bool can_be_bare(Bytes bytes) {
  return !bytes.empty() && bytes.front() != '"' && bytes.find(' ') == Bytes::npos &&
         std::none_of(bytes.begin(), bytes.end(), is_control);
}

bool looks_like_flag(Bytes bytes) {
  return bytes.substr(0, 2) == "--";
}

std::string in_quotes(Bytes bytes) {
  constexpr Bytes hex = "0123456789abcdef";
  constexpr Bytes escaped = "\"\\\n\r\t";
  constexpr Bytes letters = "\"\\nrt";
  std::string out = "\"";
  for (const char c : bytes) {
    if (const std::size_t at = escaped.find(c); at != Bytes::npos) {
      out += '\\';
      out += letters[at];
    } else if (is_control(c)) {
      out += "\\x";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string written(const Token& token) {
  if (token.quoted) return in_quotes(token.text);
  if (!looks_like_flag(token.text)) return quote(token.text);
  if (can_be_bare(token.text)) return token.text;
  const std::size_t equals = token.text.find('=');
  const Bytes name = Bytes(token.text).substr(0, equals);
  if (equals == std::string::npos || !can_be_bare(name)) return in_quotes(token.text);
  return std::string(name) + ' ' + in_quotes(Bytes(token.text).substr(equals + 1));
}

}  // namespace

std::optional<Line> parse_line(Bytes input, const ProtocolLimits& limits, std::size_t& searched) {
  const std::size_t text_bytes_max = limits.line_bytes_max + limits.value_bytes_max;
  const Bytes window = input.substr(0, text_bytes_max + 2);  // 2: the line end itself.
  const std::size_t end = window.find('\n', std::min(searched, window.size()));
  if (end == Bytes::npos && window.size() < text_bytes_max + 2) {
    searched = window.size();
    return {};
  }
  searched = 0;
  Line line;
  Bytes text = window.substr(0, end);
  if (end != Bytes::npos && text.ends_with('\r')) text.remove_suffix(1);
  if (text.size() > text_bytes_max) {
    line.consumed = input.size();
    line.error = too_long(limits);
    line.closes = true;
    return line;
  }
  line.consumed = end + 1;
  if (auto tokens = tokenize(text, limits))
    line.tokens = std::move(*tokens);
  else
    line.error = std::move(tokens.error().message);
  return line;
}

Result<std::vector<Token>> tokenize(Bytes line, const ProtocolLimits& limits) {
  std::vector<Token> tokens;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.empty()) return tokens;
    if (tokens.size() == limits.arguments_max)
      return bad_line("more than " + std::to_string(limits.arguments_max) +
                      " arguments; split the command");
    if (line.front() != '"') {
      tokens.push_back(take_bare(line));
      continue;
    }
    line.remove_prefix(1);
    auto token = take_quoted(line);
    if (!token) return tl::unexpected(std::move(token.error()));
    tokens.push_back(std::move(*token));
  }
}

std::string quote(Bytes bytes) {
  return can_be_bare(bytes) && !looks_like_flag(bytes) ? std::string(bytes) : in_quotes(bytes);
}

std::string to_line(const std::vector<Token>& tokens) {
  std::string line;
  for (const Token& token : tokens) {
    if (!line.empty()) line += ' ';
    line += written(token);
  }
  return line;
}

}  // namespace dhrt::text
