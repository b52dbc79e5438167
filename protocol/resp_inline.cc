#include "protocol/resp_inline.h"

#include <algorithm>
#include <utility>

namespace dhrt::resp {

namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Not every space ends a word: Redis leaves \v and \f in it.
bool ends_word(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char escaped(char c) {
  constexpr Bytes names = "nrtba";
  constexpr Bytes meant = "\n\r\t\b\a";
  const std::size_t at = names.find(c);
  return at == Bytes::npos ? c : meant[at];
}

class Splitter {
 public:
  explicit Splitter(Bytes line) : rest_(line) {}

  // False: quotes are unbalanced.
  bool split(std::vector<std::string>& words) {
    for (;;) {
      while (!rest_.empty() && is_space(rest_.front()))
        rest_.remove_prefix(1);
      if (rest_.empty()) return true;
      if (!take_word(words.emplace_back())) return false;
    }
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  bool take_word(std::string& word) {
    while (!rest_.empty() && !ends_word(rest_.front())) {
      const char c = take();
      if (c == '"') return take_double_quoted(word) && is_at_end_of_word();
      if (c == '\'') return take_single_quoted(word) && is_at_end_of_word();
      word += c;
    }
    return true;
  }

  bool is_at_end_of_word() const { return rest_.empty() || is_space(rest_.front()); }

  // Up to and with the closing quote.
  bool take_double_quoted(std::string& word) {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '"') return true;
      if (c != '\\' || rest_.empty())
        word += c;
      else if (is_hex_escape())
        word += take_hex_escape();
      else
        word += escaped(take());
    }
    return false;
  }

  bool is_hex_escape() const {
    return rest_.size() >= 3 && rest_[0] == 'x' && digit_of(rest_[1]) >= 0 &&
           digit_of(rest_[2]) >= 0;
  }

  char take_hex_escape() {
    const int byte = digit_of(rest_[1]) * 16 + digit_of(rest_[2]);
    rest_.remove_prefix(3);
    return static_cast<char>(byte);
  }

  bool take_single_quoted(std::string& word) {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '\'') return true;
      word += c == '\\' && !rest_.empty() && rest_.front() == '\'' ? take() : c;
    }
    return false;
  }

  Bytes rest_;
};

}  // namespace

std::optional<std::vector<std::string>> split_inline(Bytes line) {
  std::vector<std::string> words;
  if (!Splitter(line.substr(0, line.find('\0'))).split(words)) return std::nullopt;
  return words;
}

std::optional<InlineCommand> read_inline(Bytes input, std::size_t& searched) {
  const std::size_t end = input.find('\n', std::min(searched, input.size()));
  if (end == Bytes::npos ? input.size() > inline_bytes_max : end > inline_bytes_max) {
    searched = 0;
    return InlineCommand{.words = {},
                         .consumed = input.size(),
                         .error = "Protocol error: too big inline request (the limit is " +
                                  std::to_string(inline_bytes_max) +
                                  " bytes; send what is longer as an array)"};
  }
  if (end == Bytes::npos) {
    searched = input.size();
    return std::nullopt;
  }
  searched = 0;
  Bytes line = input.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto words = split_inline(line);
  if (words) return InlineCommand{.words = std::move(*words), .consumed = end + 1, .error = {}};
  return InlineCommand{
      .words = {}, .consumed = end + 1, .error = "Protocol error: unbalanced quotes in request"};
}

}  // namespace dhrt::resp
