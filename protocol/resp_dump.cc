#include "protocol/resp_dump.h"

#include <array>
#include <cstdint>

namespace dhrt::resp {

namespace {

constexpr char string_type = 0;
// That of Redis 7.0. It takes what is not above its own.
constexpr std::uint16_t version_written = 10;
// Of Redis 8 and Valkey 9: strings have had one form in all of them.
constexpr std::uint16_t version_max = 80;
constexpr std::size_t footer_bytes = 2 + 8;

constexpr std::array<std::uint64_t, 256> make_crc_table() {
  constexpr std::uint64_t polynomial_reflected = 0x95ac9329ac4bc9b5;
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    std::uint64_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ ((crc & 1) != 0 ? polynomial_reflected : 0);
    table[i] = crc;
  }
  return table;
}
constexpr auto crc_table = make_crc_table();

std::uint64_t crc64(Bytes bytes) {
  std::uint64_t crc = 0;
  for (const char byte : bytes)
    crc = crc_table[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
  return crc;
}

void append_little(std::string& out, std::uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out += static_cast<char>(number >> (8 * i) & 0xff);
}

void append_length(std::string& out, std::size_t length) {
  if (length < 1U << 6) {
    out += static_cast<char>(length);
  } else if (length < 1U << 14) {
    out += static_cast<char>(0x40U | length >> 8);
    out += static_cast<char>(length & 0xff);
  } else {
    out += '\x80';
    for (int shift = 24; shift >= 0; shift -= 8)
      out += static_cast<char>(length >> shift & 0xff);
  }
}

// Takes what is in front of the rest; nothing behind the end.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }
  std::optional<Bytes> take(std::uint64_t bytes) {
    if (bytes > rest_.size()) return std::nullopt;
    const Bytes taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::optional<std::uint64_t> little(std::size_t bytes) { return number(bytes, true); }
  std::optional<std::uint64_t> big(std::size_t bytes) { return number(bytes, false); }

 private:
  std::optional<std::uint64_t> number(std::size_t bytes, bool lowest_first) {
    const auto taken = take(bytes);
    if (!taken) return std::nullopt;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      const char byte = (*taken)[lowest_first ? bytes - 1 - i : i];
      sum = sum << 8 | static_cast<unsigned char>(byte);
    }
    return sum;
  }

  Bytes rest_;
};

// Behind the first byte, which is no special form.
std::optional<std::uint64_t> take_length(Reader& reader, std::uint8_t first) {
  if (first < 0x40) return first;
  if (first < 0x80) {
    const auto low = reader.big(1);
    if (!low) return std::nullopt;
    return (std::uint64_t{first} & 0x3f) << 8 | *low;
  }
  if (first == 0x80) return reader.big(4);
  if (first == 0x81) return reader.big(8);
  return std::nullopt;
}

std::optional<std::uint64_t> take_length(Reader& reader) {
  const auto first = reader.big(1);
  return first ? take_length(reader, static_cast<std::uint8_t>(*first)) : std::nullopt;
}

template <typename Integer>
std::optional<std::string> take_integer(Reader& reader) {
  const auto number = reader.little(sizeof(Integer));
  if (!number) return std::nullopt;
  return std::to_string(static_cast<Integer>(*number));
}

// A run of bytes as they are, or of bytes that were there before.
bool take_lzf_run(Reader& reader, std::string& out, std::size_t bytes_max) {
  const auto control = reader.big(1);
  if (!control) return false;
  if (*control < 32) {
    const auto bytes = reader.take(*control + 1);
    if (!bytes || bytes->size() > bytes_max - out.size()) return false;
    out += *bytes;
    return true;
  }
  std::size_t length = *control >> 5;
  if (length == 7) {
    const auto more = reader.big(1);
    if (!more) return false;
    length += *more;
  }
  length += 2;
  const auto low = reader.big(1);
  if (!low) return false;
  const std::size_t back = ((*control & 0x1f) << 8 | *low) + 1;
  if (back > out.size() || length > bytes_max - out.size()) return false;
  for (; length > 0; --length)
    out += out[out.size() - back];
  return true;
}

std::optional<std::string> take_compressed(Reader& reader, std::size_t value_bytes_max) {
  const auto packed_bytes = take_length(reader);
  if (!packed_bytes) return std::nullopt;
  const auto bytes = take_length(reader);
  if (!bytes || *bytes > value_bytes_max) return std::nullopt;
  const auto packed = reader.take(*packed_bytes);
  if (!packed) return std::nullopt;
  Reader runs(*packed);
  std::string value;
  while (!runs.at_end()) {
    if (!take_lzf_run(runs, value, *bytes)) return std::nullopt;
  }
  return value.size() == *bytes ? std::optional(std::move(value)) : std::nullopt;
}

std::optional<std::string> take_string(Reader& reader, std::size_t value_bytes_max) {
  const auto first = reader.big(1);
  if (!first) return std::nullopt;
  if (*first == 0xc0) return take_integer<std::int8_t>(reader);
  if (*first == 0xc1) return take_integer<std::int16_t>(reader);
  if (*first == 0xc2) return take_integer<std::int32_t>(reader);
  if (*first == 0xc3) return take_compressed(reader, value_bytes_max);
  const auto length = take_length(reader, static_cast<std::uint8_t>(*first));
  if (!length || *length > value_bytes_max) return std::nullopt;
  const auto bytes = reader.take(*length);
  return bytes ? std::optional<std::string>(*bytes) : std::nullopt;
}

}  // namespace

std::string dump_of(Bytes value) {
  std::string dump(1, string_type);
  append_length(dump, value.size());
  dump += value;
  append_little(dump, version_written, 2);
  append_little(dump, crc64(dump), 8);
  return dump;
}

Restored restore(Bytes dump, std::size_t value_bytes_max) {
  using Outcome = Restored::Outcome;
  if (dump.size() < footer_bytes) return {.outcome = Outcome::bad_version_or_checksum};
  const Bytes body = dump.substr(0, dump.size() - footer_bytes);
  Reader footer(dump.substr(body.size()));
  const std::uint64_t version = *footer.little(2);
  const std::uint64_t checksum = *footer.little(8);
  // Whoever leaves the checksum out writes zero.
  const bool intact = checksum == 0 || checksum == crc64(dump.substr(0, dump.size() - 8));
  if (version > version_max || !intact) return {.outcome = Outcome::bad_version_or_checksum};
  if (body.empty() || body.front() != string_type) return {};
  Reader reader(body.substr(1));
  auto value = take_string(reader, value_bytes_max);
  if (!value || !reader.at_end()) return {};
  return {.outcome = Outcome::value, .value = std::move(*value)};
}

}  // namespace dhrt::resp
