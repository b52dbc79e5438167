#include "tests/bench/reply.h"

#include <charconv>
#include <cstdint>
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

}  // namespace

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
