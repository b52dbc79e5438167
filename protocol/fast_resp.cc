#include "protocol/fast_resp.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace dhrt::resp {

namespace {

// "*3\r\n$3\r\nSET\r\n" as two numbers: eight bytes, and the five behind them.
constexpr std::size_t opening_bytes = 13;
using Half = std::array<char, 8>;

struct Opening {
  std::uint64_t first;
  std::uint64_t second;
};

constexpr Opening opening_of(const char (&text)[opening_bytes + 1]) {
  Half first{};
  Half second{};
  std::copy_n(text, first.size(), first.begin());
  std::copy_n(text + first.size(), opening_bytes - first.size(), second.begin());
  return {std::bit_cast<std::uint64_t>(first), std::bit_cast<std::uint64_t>(second)};
}
constexpr Opening get_opening = opening_of("*2\r\n$3\r\nget\r\n");
constexpr Opening set_opening = opening_of("*3\r\n$3\r\nset\r\n");

// Of the second number: the bytes that count, and the bit that makes the letters lower case.
constexpr auto counted = std::bit_cast<std::uint64_t>(
    std::array<unsigned char, 8>{0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0});
constexpr auto lower_case =
    std::bit_cast<std::uint64_t>(std::array<unsigned char, 8>{0x20, 0x20, 0x20, 0, 0, 0, 0, 0});

std::uint64_t load(const char* at) {
  std::uint64_t number = 0;
  std::memcpy(&number, at, sizeof(number));
  return number;
}

// No command is shorter: a GET of an empty key.
constexpr std::size_t command_bytes_min = opening_bytes + 6;
static_assert(command_bytes_min >= 2 * sizeof(std::uint64_t));

bool opens(const char* at, const Opening& opening) {
  return load(at) == opening.first &&
         ((load(at + sizeof(std::uint64_t)) & counted) | lower_case) == opening.second;
}

// Longer ones than this are left to the full reader.
constexpr std::size_t length_digits_max = 8;

// Takes "$n\r\n", n bytes and the line end from the front of `rest`.
bool take_bulk(Bytes& rest, Bytes& bytes) {
  if (rest.empty() || rest.front() != '$') return false;
  std::size_t at = 1;
  std::size_t length = 0;
  for (; at < rest.size() && at <= length_digits_max && rest[at] >= '0' && rest[at] <= '9'; ++at)
    length = length * 10 + static_cast<std::size_t>(rest[at] - '0');
  const bool zero_in_front = at > 2 && rest[1] == '0';
  if (at == 1 || zero_in_front || rest.size() - at < length + 4) return false;
  const char* const head_end = rest.data() + at;
  const char* const end = head_end + 2 + length;
  if (head_end[0] != '\r' || head_end[1] != '\n' || end[0] != '\r' || end[1] != '\n') return false;
  bytes = {head_end + 2, length};
  rest.remove_prefix(at + length + 4);
  return true;
}

bool recognise_one(Bytes& rest, const ProtocolLimits& limits, FastCommand& command) {
  if (rest.size() < command_bytes_min) return false;
  const bool sets = rest[1] == '3';
  if (!opens(rest.data(), sets ? set_opening : get_opening)) return false;
  rest.remove_prefix(opening_bytes);
  command.kind = sets ? FastCommand::Kind::set : FastCommand::Kind::get;
  if (!take_bulk(rest, command.key) || command.key.size() > limits.value_bytes_max) return false;
  if (!sets) return true;
  return take_bulk(rest, command.value) && command.value.size() <= limits.value_bytes_max;
}

}  // namespace

void recognise(Bytes input, Bytes collection, const ProtocolLimits& limits, FastBatch& batch) {
  Bytes rest = input;
  while (!batch.full()) {
    FastCommand& command = batch.next();
    if (!recognise_one(rest, limits, command)) return;
    command.collection = collection;
    command.end = input.size() - rest.size();
    batch.add();
  }
}

}  // namespace dhrt::resp
