#include "protocol/fast_http.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace dhrt::http {

namespace {

constexpr std::array<bool, 256> table_of(Bytes others) {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 256; ++c)
    table[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  for (const char c : others)
    table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto path_bytes = table_of("-._~/");

bool in_path(char c) {
  return path_bytes[static_cast<unsigned char>(c)];
}

// Space to tilde.
bool all_printable(Bytes text) {
  unsigned odd = 0;
  for (const char c : text)
    odd |= static_cast<unsigned>(static_cast<unsigned char>(c - ' ') > '~' - ' ');
  return odd == 0;
}

// Names are known, so that only their case is to be told.
bool is_name(Bytes text, Bytes lower_case_name) {
  return text.size() == lower_case_name.size() &&
         std::equal(text.begin(), text.end(), lower_case_name.begin(), [](char c, char lower) {
           return c == lower || (c >= 'A' && c <= 'Z' && c - 'A' + 'a' == lower);
         });
}

Bytes trim(Bytes text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::size_t last = text.find_last_not_of(' ');
  return text.substr(0, last == Bytes::npos ? 0 : last + 1);
}

class Recogniser {
 public:
  explicit Recogniser(Bytes input) : rest_(input) {}

  bool take_request_line() {
    request.puts = rest_.starts_with("PUT /");
    if (!request.puts && !rest_.starts_with("GET /")) return false;
    rest_.remove_prefix(5);
    const auto* const end = std::find_if_not(rest_.begin(), rest_.end(), in_path);
    const Bytes path = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(path.size());
    constexpr Bytes line_end = " HTTP/1.1\r\n";
    if (!rest_.starts_with(line_end)) return false;
    rest_.remove_prefix(line_end.size());
    const std::size_t slash = path.find('/');
    if (slash != Bytes::npos) request.collection = path.substr(0, slash);
    request.key = slash == Bytes::npos ? path : path.substr(slash + 1);
    return !request.key.empty() && request.key.find('/') == Bytes::npos &&
           (slash == Bytes::npos || slash > 0);
  }

  // Up to and with the empty line.
  bool take_headers() {
    while (!rest_.starts_with("\r\n")) {
      const std::size_t end = rest_.find("\r\n");
      if (end == Bytes::npos) return false;
      const Bytes line = rest_.substr(0, end);
      const std::size_t colon = line.find(':');
      if (colon == Bytes::npos || !all_printable(line)) return false;
      if (!take_header(line.substr(0, colon), trim(line.substr(colon + 1)))) return false;
      rest_.remove_prefix(end + 2);
    }
    rest_.remove_prefix(2);
    return has_host_ && has_length_ == request.puts;
  }

  bool take_body() {
    if (length_ > rest_.size()) return false;
    request.body = rest_.substr(0, length_);
    return true;
  }
  Bytes rest() const { return rest_; }
  std::size_t length() const { return length_; }

  FastRequest request;

 private:
  bool take_header(Bytes name, Bytes value) {
    constexpr std::array without_meaning{Bytes("user-agent"), Bytes("accept-encoding"),
                                         Bytes("accept-language"), Bytes("cache-control"),
                                         Bytes("sec-fetch-mode")};
    if (is_name(name, "host")) return take_once(has_host_, request.host, value);
    if (is_name(name, "accept")) return take_once(has_accept_, request.accept, value);
    if (is_name(name, "content-type")) return take_once(has_type_, request.content_type, value);
    if (is_name(name, "content-length")) return take_length(value);
    if (is_name(name, "connection")) return is_name(value, "keep-alive");
    return std::ranges::any_of(without_meaning, [&](Bytes known) { return is_name(name, known); });
  }
  static bool take_once(bool& has, Bytes& place, Bytes value) {
    place = value;
    return !std::exchange(has, true);
  }
  bool take_length(Bytes value) {
    constexpr std::size_t digits_max = 9;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), length_);
    return parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() &&
           value.size() <= digits_max && !std::exchange(has_length_, true);
  }

  Bytes rest_;
  std::size_t length_ = 0;
  bool has_host_ = false;
  bool has_accept_ = false;
  bool has_type_ = false;
  bool has_length_ = false;
};

}  // namespace

std::optional<FastRequest> recognise(Bytes input, const ProtocolLimits& limits) {
  Recogniser recogniser(input);
  if (!recogniser.take_request_line() || !recogniser.take_headers()) return std::nullopt;
  const std::size_t head_bytes = input.size() - recogniser.rest().size();
  if (head_bytes > limits.header_bytes_max || recogniser.length() > limits.value_bytes_max)
    return std::nullopt;
  if (!recogniser.take_body()) return std::nullopt;
  recogniser.request.end = head_bytes + recogniser.length();
  return recogniser.request;
}

}  // namespace dhrt::http
