// Strings in quotes (RFC 8259, section 7), UTF-8 (RFC 3629) and base64 (RFC 4648): how bytes get
// into JSON. Values are megabytes, so the size is counted first and bytes are written into place.
#include <array>
#include <cstring>

#include "protocol/json.h"
#include "protocol/json_string.h"

namespace dhrt::json {

namespace {

constexpr Bytes alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> digits = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(no_digit);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return table;
}();

// The letter behind the backslash, 'u' for \u00XX; 0: the byte stands for itself.
constexpr std::array<char, 256> escapes = [] {
  std::array<char, 256> table{};
  for (std::size_t byte = 0; byte < 0x20; ++byte)
    table[byte] = 'u';
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

// Gives where the next byte goes.
char* write_escape(char* to, unsigned char byte) {
  constexpr Bytes hex = "0123456789ABCDEF";
  *to++ = '\\';
  *to++ = escapes[byte];
  if (escapes[byte] != 'u') return to;
  *to++ = '0';
  *to++ = '0';
  *to++ = hex[byte >> 4U];
  *to++ = hex[byte & 15U];
  return to;
}

// How many of the first bytes are ASCII, eight at a time.
std::size_t ascii_prefix(Bytes bytes) {
  constexpr std::uint64_t high_bits = 0x8080808080808080;
  std::size_t length = 0;
  for (std::uint64_t eight = 0; bytes.size() - length >= sizeof(eight); length += sizeof(eight)) {
    std::memcpy(&eight, bytes.data() + length, sizeof(eight));
    if ((eight & high_bits) != 0) break;
  }
  return length;
}

// A lead byte says how many bytes follow, and which second bytes would be overlong, a
// surrogate, or beyond U+10FFFF (RFC 3629, section 4).
struct Lead {
  std::size_t following;
  unsigned char second_min;
  unsigned char second_max;
};

std::optional<Lead> lead_of(unsigned char byte) {
  if (byte < 0x80) return Lead{0, 0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return Lead{1, 0x80, 0xbf};
  if (byte == 0xe0) return Lead{2, 0xa0, 0xbf};
  if (byte == 0xed) return Lead{2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return Lead{2, 0x80, 0xbf};
  if (byte == 0xf0) return Lead{3, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return Lead{3, 0x80, 0xbf};
  if (byte == 0xf4) return Lead{3, 0x80, 0x8f};
  return {};
}

}  // namespace

std::size_t quoted_bytes(Bytes utf8) {
  // A loop without a table or a branch looks at many bytes at once.
  unsigned escaped = 0;
  for (const char c : utf8)
    escaped |= static_cast<unsigned>(static_cast<unsigned char>(c) < ' ') |
               static_cast<unsigned>(c == '"') | static_cast<unsigned>(c == '\\');
  if (escaped == 0) return utf8.size() + 2;
  std::size_t count = 2;
  for (const char c : utf8) {
    const char escape = escapes[static_cast<unsigned char>(c)];
    count += escape == 0 ? 1 : escape == 'u' ? 6 : 2;
  }
  return count;
}

void write_quoted(char* to, Bytes utf8) {
  *to++ = '"';
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if (escapes[byte] == 0)
      *to++ = c;
    else
      to = write_escape(to, byte);
  }
  *to = '"';
}

void append_quoted(std::string& out, Bytes utf8) {
  const std::size_t bytes = quoted_bytes(utf8);
  if (bytes == utf8.size() + 2) {  // Nothing to escape.
    out.append("\"").append(utf8).append("\"");
    return;
  }
  const std::size_t at = out.size();
  out.resize(at + bytes);
  write_quoted(out.data() + at, utf8);
}

std::string quoted(Bytes utf8) {
  std::string out;
  append_quoted(out, utf8);
  return out;
}

bool is_utf8(Bytes bytes) {
  while (!bytes.empty()) {
    if (const std::size_t ascii = ascii_prefix(bytes); ascii > 0) {
      bytes.remove_prefix(ascii);
      continue;
    }
    const auto lead = lead_of(static_cast<unsigned char>(bytes.front()));
    if (!lead || bytes.size() <= lead->following) return false;
    for (std::size_t i = 1; i <= lead->following; ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      if (byte < (i == 1 ? lead->second_min : 0x80)) return false;
      if (byte > (i == 1 ? lead->second_max : 0xbf)) return false;
    }
    bytes.remove_prefix(lead->following + 1);
  }
  return true;
}

std::string base64(Bytes bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* next = out.data();
  while (!bytes.empty()) {
    const std::size_t taken = bytes.size() < 3 ? bytes.size() : 3;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < taken ? static_cast<unsigned char>(bytes[i]) : 0U);
    for (std::size_t i = 0; i <= taken; ++i)
      next[i] = alphabet[group >> (18 - 6 * i) & 63];
    next += 4;
    bytes.remove_prefix(taken);
  }
  return out;
}

std::optional<std::string> from_base64(Bytes text) {
  if (text.size() % 4 != 0) return {};
  std::string out;
  out.reserve(text.size() / 4 * 3);
  while (!text.empty()) {
    std::size_t used = 4;
    if (text.size() == 4 && text.ends_with("=="))
      used = 2;
    else if (text.size() == 4 && text.ends_with('='))
      used = 3;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t digit = i < used ? digits[static_cast<unsigned char>(text[i])] : 0;
      if (digit == no_digit) return {};
      group = group << 6 | digit;
    }
    // Bits behind the last byte must be zero, or two texts would mean the same bytes.
    if ((group & ((1U << (8 * (4 - used))) - 1)) != 0) return {};
    for (std::size_t i = 0; i + 1 < used; ++i)
      out += static_cast<char>(group >> (16 - 8 * i) & 0xff);
    text.remove_prefix(4);
  }
  return out;
}

}  // namespace dhrt::json
