#include "protocol/json_extent.h"

#include <algorithm>

#include "protocol/json.h"

namespace dhrt::json {

namespace {

constexpr Bytes blanks = " \t\r\n";
// What ends a number or a word.
constexpr Bytes ends = " \t\r\n,:[]{}\"";

// Behind the quote that ends the string whose quote is at `at`; npos if there is none.
std::size_t string_end(Bytes text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return Bytes::npos;
}

std::optional<std::size_t> bracket_end(Bytes text) {
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      if (at == Bytes::npos) return std::nullopt;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return std::nullopt;
}

// Drops `c`, and the blanks around it, from the front.
bool take(Bytes& text, char c) {
  text = without_blanks(text);
  if (!text.starts_with(c)) return false;
  text = without_blanks(text.substr(1));
  return true;
}

std::optional<Bytes> take_value(Bytes& text) {
  const auto end = text.empty() ? std::nullopt : value_end(text);
  if (!end) return std::nullopt;
  const Bytes value = text.substr(0, *end);
  text.remove_prefix(*end);
  return value;
}

bool is_string(Bytes text, Bytes wanted) {
  if (text.find('\\') == Bytes::npos)
    return text.size() == wanted.size() + 2 && text.substr(1, wanted.size()) == wanted;
  const auto document = Document::parse(text);
  return document && document->root().string() == wanted;
}

}  // namespace

Bytes without_blanks(Bytes text) {
  return text.substr(std::min(text.find_first_not_of(blanks), text.size()));
}

std::optional<std::size_t> value_end(Bytes text) {
  const char first = text.front();
  if (first == '{' || first == '[') return bracket_end(text);
  if (first == '"') {
    const std::size_t end = string_end(text, 0);
    return end == Bytes::npos ? std::nullopt : std::optional(end);
  }
  return std::min(text.find_first_of(ends, 1), text.size());
}

std::optional<std::vector<Bytes>> item_texts(Bytes text, std::size_t count_max) {
  std::vector<Bytes> items;
  if (!take(text, '[')) return std::nullopt;
  if (take(text, ']')) return text.empty() ? std::optional(items) : std::nullopt;
  while (items.size() <= count_max) {
    const auto item = take_value(text);
    if (!item) return std::nullopt;
    items.push_back(*item);
    if (take(text, ']')) return text.empty() ? std::optional(items) : std::nullopt;
    if (!take(text, ',')) return std::nullopt;
  }
  return items;
}

std::optional<std::string> member_text(Bytes object, Bytes name) {
  if (!take(object, '{')) return std::nullopt;
  for (;;) {
    const auto key = take_value(object);
    if (!key || !take(object, ':')) return std::nullopt;
    const auto value = take_value(object);
    if (!value) return std::nullopt;
    if (is_string(*key, name)) return std::string(*value);
    if (!take(object, ',')) return std::nullopt;
  }
}

std::size_t comma_count(Bytes text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = string_end(text, at);
      if (at == Bytes::npos) return count;
      continue;
    }
    count += text[at++] == ',' ? 1 : 0;
  }
  return count;
}

}  // namespace dhrt::json
