// Values as strings of bits; bit 0 is the highest of the first byte.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

constexpr std::size_t bits_per_byte = 8;

bool bit_at(Bytes value, std::size_t bit) {
  const auto byte = static_cast<unsigned char>(value[bit / bits_per_byte]);
  return ((byte >> (bits_per_byte - 1 - bit % bits_per_byte)) & 1) != 0;
}

// Absent: the call has failed.
std::optional<std::size_t> bit_offset(RedisCall& call) {
  const auto offset = resp::parse_integer(call.word(2));
  // Redis' own limit: 512 MiB of bits.
  if (offset && *offset >= 0 && *offset < (std::int64_t{1} << 32))
    return static_cast<std::size_t>(*offset);
  call.fail("ERR bit offset is not an integer or out of range");
  return std::nullopt;
}

std::size_t count_bits(Bytes bytes) {
  std::size_t count = 0;
  for (; bytes.size() >= sizeof(std::uint64_t); bytes.remove_prefix(sizeof(std::uint64_t))) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof(word));
    count += static_cast<std::size_t>(std::popcount(word));
  }
  for (const char byte : bytes)
    count += static_cast<std::size_t>(std::popcount(static_cast<unsigned char>(byte)));
  return count;
}

// Bits [from, end) of a value.
struct BitRange {
  std::size_t from = 0;
  std::size_t end = 0;
};

std::size_t count_bits(Bytes value, BitRange range) {
  std::size_t count = 0;
  while (range.from < range.end && range.from % bits_per_byte != 0)
    count += bit_at(value, range.from++) ? 1 : 0;
  while (range.from < range.end && range.end % bits_per_byte != 0)
    count += bit_at(value, --range.end) ? 1 : 0;
  const std::size_t first = range.from / bits_per_byte;
  return count + count_bits(value.substr(first, range.end / bits_per_byte - first));
}

std::optional<std::size_t> find_bit(Bytes value, BitRange range, bool wanted) {
  const char skipped = wanted ? '\0' : '\xff';
  for (std::size_t bit = range.from; bit < range.end; ++bit) {
    if (bit % bits_per_byte == 0 && range.end - bit >= bits_per_byte) {
      const std::size_t byte = bit / bits_per_byte;
      if (value[byte] == skipped) {
        const std::size_t next = value.find_first_not_of(skipped, byte);
        // Behind the bytes in which it cannot be; the loop's step is taken back.
        bit = std::min(next, value.size()) * bits_per_byte - 1;
        continue;
      }
    }
    if (bit_at(value, bit) == wanted) return bit;
  }
  return std::nullopt;
}

// start, end and unit as BITCOUNT and BITPOS take them.
struct RangeWords {
  std::int64_t start = 0;
  std::int64_t end = -1;
  bool in_bits = false;
  bool has_end = false;
  bool is_empty = false;  // Whatever the value is.
};

// False: the call has failed. So do the next two.
bool read_number(RedisCall& call, std::size_t at, std::int64_t& number) {
  const auto read = call.integer(call.word(at));
  if (read) number = *read;
  return read.has_value();
}

bool read_unit(RedisCall& call, std::size_t at, RangeWords& words) {
  words.in_bits = is_word(call.word(at), "bit");
  if (words.in_bits || is_word(call.word(at), "byte")) return true;
  call.syntax_error();
  return false;
}

// BITCOUNT key [start end [unit]]
bool read_count_range(RedisCall& call, RangeWords& words) {
  if (call.count() == 2) return true;
  if (call.count() != 4 && call.count() != 5) {
    call.syntax_error();
    return false;
  }
  if (!read_number(call, 2, words.start) || !read_number(call, 3, words.end)) return false;
  // Redis looks at the order of these two before it looks at unit and value; BITPOS does not.
  words.is_empty = words.start < 0 && words.end < 0 && words.start > words.end;
  return words.is_empty || call.count() == 4 || read_unit(call, 4, words);
}

// BITPOS key bit [start [end [unit]]]; Redis looks at the unit before it looks at the end.
bool read_position_range(RedisCall& call, RangeWords& words) {
  if (call.count() == 3) return true;
  if (call.count() > 6) {
    call.syntax_error();
    return false;
  }
  if (!read_number(call, 3, words.start)) return false;
  words.has_end = call.count() > 4;
  if (call.count() == 6 && !read_unit(call, 5, words)) return false;
  return !words.has_end || read_number(call, 4, words.end);
}

BitRange range_in(const RangeWords& words, Bytes value) {
  const auto size = static_cast<std::int64_t>(value.size() * (words.in_bits ? bits_per_byte : 1));
  const std::int64_t start =
      std::max<std::int64_t>(words.start < 0 ? words.start + size : words.start, 0);
  const std::int64_t end =
      std::min(std::max<std::int64_t>(words.end < 0 ? words.end + size : words.end, 0), size - 1);
  if (start > end) return {};
  const std::size_t unit = words.in_bits ? 1 : bits_per_byte;
  return {static_cast<std::size_t>(start) * unit, static_cast<std::size_t>(end + 1) * unit};
}

}  // namespace

void get_bit(RedisCall& call) {
  const auto offset = bit_offset(call);
  if (!offset) return;
  call.read(call.word(1), [&](const RecordView* held) {
    const bool there = held != nullptr && *offset / bits_per_byte < held->value.size();
    call.reply().integer(there && bit_at(held->value, *offset) ? 1 : 0);
  });
}

void set_bit(RedisCall& call) {
  const auto offset = bit_offset(call);
  if (!offset) return;
  const Bytes bit = call.word(3);
  if (bit != "0" && bit != "1") return call.fail("ERR bit is not an integer or out of range");
  const std::size_t byte = *offset / bits_per_byte;
  if (!call.fits(byte + 1)) return;
  std::string value;
  bool old = false;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    value = held == nullptr ? std::string() : std::string(held->value);
    if (value.size() <= byte) value.resize(byte + 1);
    old = bit_at(value, *offset);
    const auto mask = static_cast<unsigned char>(0x80U >> (*offset % bits_per_byte));
    const auto was = static_cast<unsigned char>(value[byte]);
    value[byte] = static_cast<char>(bit == "1" ? was | mask : was & ~mask);
    change.value = value;
    return true;
  });
  if (done) call.reply().integer(old ? 1 : 0);
}

// BITCOUNT key [start end [BYTE|BIT]]: of a key that is not there no range is looked at.
void bit_count(RedisCall& call) {
  call.read(call.word(1), [&](const RecordView* held) {
    if (held == nullptr) return call.reply().integer(0);
    RangeWords words;
    if (!read_count_range(call, words)) return;
    const BitRange range = words.is_empty ? BitRange{} : range_in(words, held->value);
    call.reply().integer(static_cast<std::int64_t>(count_bits(held->value, range)));
  });
}

// BITPOS key bit [start [end [BYTE|BIT]]]: behind a value without an end that was given there are
// zeros, as far as one looks.
void bit_position(RedisCall& call) {
  const auto bit = call.integer(call.word(2));
  if (!bit) return;
  if (*bit != 0 && *bit != 1) return call.fail("ERR The bit argument must be 1 or 0.");
  call.read(call.word(1), [&](const RecordView* held) {
    if (held == nullptr) return call.reply().integer(*bit == 1 ? -1 : 0);
    RangeWords words;
    if (!read_position_range(call, words)) return;
    const BitRange range = range_in(words, held->value);
    const auto found = find_bit(held->value, range, *bit == 1);
    if (found) return call.reply().integer(static_cast<std::int64_t>(*found));
    const bool zeros_follow = *bit == 0 && !words.has_end && range.from < range.end;
    const std::size_t bits = held->value.size() * bits_per_byte;
    call.reply().integer(zeros_follow ? static_cast<std::int64_t>(bits) : -1);
  });
}

}  // namespace dhrt::redis
