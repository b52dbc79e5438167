#include "protocol/sniff.h"

#include <algorithm>

#include "protocol/letter_case.h"
#include "protocol/limits.h"

namespace dhrt {

namespace {

// The longest registered method has 17 bytes (UPDATEREDIRECTREF).
constexpr std::size_t method_bytes_max = 32;
// A host name has at most 253 bytes, a bracketed address fewer.
constexpr std::size_t host_bytes_max = 256;
constexpr std::size_t port_digits_max = 5;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_method_byte(char c) {
  return (c >= 'A' && c <= 'Z') || c == '-';
}

// RFC 9110 section 5.6.2.
bool is_token_byte(char c) {
  constexpr Bytes signs = "!#$%&'*+-.^_`|~";
  return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         signs.find(c) != Bytes::npos;
}

bool is_host_byte(char c) {
  return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' ||
         c == '_';
}

// How far the bytes agree with what they are compared to; the better, the greater.
enum class Match { no, so_far, yes };

// Methods that there are, in upper case, or any word that a page gave for one.
enum class Methods { known, any };

// Walks a request line from left to right; each step moves `rest_` behind what it has matched.
class RequestLine {
 public:
  RequestLine(Bytes line, Methods methods) : rest_(line), methods_(methods) {}

  Match match() {
    for (const auto step : {&RequestLine::method, &RequestLine::target, &RequestLine::version}) {
      if (const Match matched = (this->*step)(); matched != Match::yes) return matched;
    }
    return Match::yes;
  }
  bool target_is_path() const { return target_is_path_; }

 private:
  // A run of at least one and at most `bytes_max` bytes of a kind, and the byte behind it.
  template <typename Kind>
  Match run(Kind kind, std::size_t bytes_max, char end) {
    const Bytes window = rest_.substr(0, bytes_max + 1);
    const auto stop = std::find_if_not(window.begin(), window.end(), kind);
    const auto length = static_cast<std::size_t>(stop - window.begin());
    if (length > bytes_max) return Match::no;
    if (length == rest_.size()) return Match::so_far;
    if (length == 0 || rest_[length] != end) return Match::no;
    rest_.remove_prefix(length + 1);
    return Match::yes;
  }

  Match literal(Bytes expected) {
    const std::size_t length = std::min(expected.size(), rest_.size());
    if (rest_.substr(0, length) != expected.substr(0, length)) return Match::no;
    if (length < expected.size()) return Match::so_far;
    rest_.remove_prefix(length);
    return Match::yes;
  }

  Match method() {
    if (methods_ == Methods::any) return run(is_token_byte, sniff_bytes_max, ' ');
    // "-" alone is a fine key, but no method.
    if (!rest_.empty() && rest_.front() == '-') return Match::no;
    return run(is_method_byte, method_bytes_max, ' ');
  }

  Match target() {
    if (rest_.empty()) return Match::so_far;
    if (rest_.front() == '*') return literal("* ");
    if (rest_.front() == '/') return path();
    // "http" may go on as a scheme or as the host of "http:80": all forms are tried.
    const Bytes start = rest_;
    Match best = Match::no;
    for (const auto form :
         {&RequestLine::http_url, &RequestLine::https_url, &RequestLine::authority}) {
      rest_ = start;
      const Match matched = (this->*form)();
      if (matched == Match::yes) return matched;
      best = std::max(best, matched);
    }
    return best;
  }

  Match http_url() {
    const Match scheme = literal("http://");
    return scheme == Match::yes ? path() : scheme;
  }

  Match https_url() {
    const Match scheme = literal("https://");
    return scheme == Match::yes ? path() : scheme;
  }

  Match path() {
    target_is_path_ = true;
    const auto visible = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; };
    const auto stop = std::find_if_not(rest_.begin(), rest_.end(), visible);
    if (stop == rest_.end()) return Match::so_far;
    if (*stop != ' ') return Match::no;
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.begin()) + 1);
    return Match::yes;
  }

  Match authority() {
    if (rest_.front() == '[') {
      rest_.remove_prefix(1);
      const auto address_byte = [](char c) { return is_host_byte(c) || c == ':' || c == '%'; };
      if (const Match host = run(address_byte, host_bytes_max, ']'); host != Match::yes)
        return host;
      if (const Match colon = literal(":"); colon != Match::yes) return colon;
    } else if (const Match host = run(is_host_byte, host_bytes_max, ':'); host != Match::yes) {
      return host;
    }
    return run(is_digit, port_digits_max, ' ');
  }

  // "HTTP/d.d", then the line end and nothing else.
  Match version() {
    if (const Match name = literal("HTTP/"); name != Match::yes) return name;
    for (std::size_t i = 0; i < 3; ++i) {
      if (i == rest_.size()) return Match::so_far;
      if (i == 1 ? rest_[i] != '.' : !is_digit(rest_[i])) return Match::no;
    }
    rest_.remove_prefix(3);
    if (rest_.empty()) return Match::so_far;
    return literal(rest_.front() == '\r' ? "\r\n" : "\n");
  }

  Bytes rest_;
  const Methods methods_;
  bool target_is_path_ = false;
};

Dialect sniff_peer(Bytes input) {
  const std::size_t length = std::min(input.size(), peer_magic.size());
  if (input.substr(0, length) != peer_magic.substr(0, length)) return Dialect::text;
  if (input.size() < peer_preface_bytes) return Dialect::undecided;
  switch (input[peer_preface_bytes - 1]) {
    case 0:
      return Dialect::peer_control;
    case 1:
      return Dialect::peer_bulk;
    default:
      return Dialect::text;
  }
}

Dialect sniff_line(Bytes input) {
  RequestLine line(input.substr(0, sniff_bytes_max), Methods::known);
  switch (line.match()) {
    case Match::yes:
      return Dialect::http;
    case Match::no:
      return Dialect::text;
    case Match::so_far:
      break;
  }
  if (input.size() < sniff_bytes_max) return Dialect::undecided;
  return line.target_is_path() ? Dialect::http_too_long : Dialect::text;
}

Dialect decide(Bytes input) {
  if (input.empty()) return Dialect::undecided;
  switch (input.front()) {
    case '*':
      return Dialect::resp;
    case '\0':
      return sniff_peer(input);
    case '\x16':
      if (input.size() < 2) return Dialect::undecided;
      return input[1] == '\x03' ? Dialect::tls : Dialect::text;
    default:
      return sniff_line(input);
  }
}

}  // namespace

Sniffed sniff(Bytes input) {
  const std::size_t skipped = std::min(input.find_first_not_of("\r\n"), input.size());
  return {decide(input.substr(skipped)), skipped};
}

Http begins_with_http(Bytes input) {
  if (input.empty()) return Http::undecided;
  switch (RequestLine(input.substr(0, sniff_bytes_max), Methods::any).match()) {
    case Match::yes:
      return Http::yes;
    case Match::no:
      return Http::no;
    case Match::so_far:
      break;
  }
  // No request of another dialect has a first or second word as long as this.
  return input.size() < sniff_bytes_max ? Http::undecided : Http::yes;
}

bool is_word_of_http(Bytes word) {
  return equal_in_any_case(word, "post") || equal_in_any_case(word, "host:");
}

}  // namespace dhrt
