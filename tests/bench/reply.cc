#include "tests/bench/reply.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>

namespace dhrt::bench {

namespace {

constexpr std::size_t reply_line_bytes_max = 64 * 1024;
constexpr std::int64_t bulk_bytes_max = 512 * 1024 * 1024;  // The largest value dhrt or Redis keep.

ReplyView read_bulk(Bytes input, Bytes digits, std::size_t head_bytes) {
  std::int64_t bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (error != std::errc() || end != digits.data() + digits.size()) return {ReplyKind::malformed};
  if (bytes == -1) return {ReplyKind::nil, {}, head_bytes};
  if (bytes < 0 || bytes > bulk_bytes_max) return {ReplyKind::malformed};
  const auto size = static_cast<std::size_t>(bytes);
  if (input.size() < head_bytes + size + 2) return {};
  if (input.substr(head_bytes + size, 2) != "\r\n") return {ReplyKind::malformed};
  return {ReplyKind::bulk, input.substr(head_bytes, size), head_bytes + size + 2};
}

// The line at the front, without its end.
struct Line {
  ReplyKind kind = ReplyKind::need_more;  // need_more and malformed as they are, else simple.
  Bytes text;
};

Line read_line(Bytes input) {
  const std::size_t end = input.substr(0, reply_line_bytes_max).find('\n');
  if (end == Bytes::npos)
    return {input.size() < reply_line_bytes_max ? ReplyKind::need_more : ReplyKind::malformed, {}};
  if (end == 0 || input[end - 1] != '\r') return {ReplyKind::malformed, {}};
  return {ReplyKind::simple, input.substr(0, end - 1)};
}

std::optional<std::size_t> read_size(Bytes digits) {
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && size <= bulk_bytes_max ? std::optional(size) : std::nullopt;
}

// The value of a header, as most servers write its name.
std::optional<Bytes> header_of(Bytes head, Bytes name) {
  const std::size_t at = head.find(name);
  if (at == Bytes::npos) return std::nullopt;
  const Bytes rest = head.substr(at + name.size());
  return rest.substr(0, rest.find('\r'));
}

ReplyView http_reply_of(Bytes status, Bytes body, std::size_t consumed) {
  if (status == "200") return {ReplyKind::bulk, body, consumed};
  if (status == "201" || status == "204") return {ReplyKind::simple, "OK", consumed};
  if (status == "404") return {ReplyKind::nil, {}, consumed};
  return {ReplyKind::error, status, consumed};
}

}  // namespace

ReplyView read_memcached_reply(Bytes input) {
  constexpr Bytes tail = "\r\nEND\r\n";
  const Line line = read_line(input);
  if (line.kind != ReplyKind::simple) return {line.kind};
  const std::size_t head_bytes = line.text.size() + 2;
  if (line.text == "STORED") return {ReplyKind::simple, "OK", head_bytes};
  if (line.text == "END") return {ReplyKind::nil, {}, head_bytes};
  if (!line.text.starts_with("VALUE ")) return {ReplyKind::error, line.text, head_bytes};
  const auto size = read_size(line.text.substr(line.text.rfind(' ') + 1));
  if (!size) return {ReplyKind::malformed};
  if (input.size() < head_bytes + *size + tail.size()) return {};
  if (input.substr(head_bytes + *size, tail.size()) != tail) return {ReplyKind::malformed};
  return {ReplyKind::bulk, input.substr(head_bytes, *size), head_bytes + *size + tail.size()};
}

ReplyView read_http_reply(Bytes input) {
  constexpr Bytes version = "HTTP/1.1 ";
  constexpr Bytes head_end = "\r\n\r\n";
  if (!input.starts_with(version.substr(0, input.size()))) return {ReplyKind::malformed};
  const std::size_t end = input.substr(0, reply_line_bytes_max).find(head_end);
  if (end == Bytes::npos)
    return {input.size() < reply_line_bytes_max ? ReplyKind::need_more : ReplyKind::malformed};
  const Bytes head = input.substr(0, end + 2);
  const Bytes status = head.substr(version.size(), 3);
  const auto length = header_of(head, "\r\nContent-Length: ");
  const auto size = length ? read_size(*length) : std::optional<std::size_t>(0);
  if (!size || (!length && status != "204")) return {ReplyKind::malformed};
  const std::size_t body_at = end + head_end.size();
  if (input.size() < body_at + *size) return {};
  return http_reply_of(status, input.substr(body_at, *size), body_at + *size);
}

ReplyView read_reply(Bytes input) {
  if (input.empty()) return {};
  if (Bytes("+-:$").find(input[0]) == Bytes::npos) return {ReplyKind::malformed};
  const std::size_t end = input.substr(0, reply_line_bytes_max).find('\n', 1);
  if (end == Bytes::npos)
    return {input.size() < reply_line_bytes_max ? ReplyKind::need_more : ReplyKind::malformed};
  if (input[end - 1] != '\r') return {ReplyKind::malformed};
  const Bytes line = input.substr(1, end - 2);
  switch (input[0]) {
    case '+':
      return {ReplyKind::simple, line, end + 1};
    case '-':
      return {ReplyKind::error, line, end + 1};
    case ':':
      return {ReplyKind::integer, line, end + 1};
    default:
      return read_bulk(input, line, end + 1);
  }
}

}  // namespace dhrt::bench
