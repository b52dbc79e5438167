#include "protocol/utf8.h"

#include <algorithm>
#include <cstdint>

namespace dhrt {

namespace {

constexpr Bytes replacement = "\xEF\xBF\xBD";

// Of a character's first byte: how many follow, and what the first of those may be.
struct Lead {
  std::size_t following = 0;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  bool valid = true;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {};
  if (byte >= 0xC2 && byte <= 0xDF) return {.following = 1};
  if (byte == 0xE0) return {.following = 2, .low = 0xA0};
  if (byte == 0xED) return {.following = 2, .high = 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {.following = 2};
  if (byte == 0xF0) return {.following = 3, .low = 0x90};
  if (byte == 0xF4) return {.following = 3, .high = 0x8F};
  if (byte >= 0xF1 && byte <= 0xF3) return {.following = 3};
  return {.valid = false};
}

// How many bytes belong to the character, or to the part of one, that `bytes` begins with.
std::size_t part_length(Bytes bytes, const Lead& lead) {
  std::size_t length = 1;
  std::uint8_t low = lead.low;
  std::uint8_t high = lead.high;
  while (length <= lead.following && length < bytes.size()) {
    const auto byte = static_cast<std::uint8_t>(bytes[length]);
    if (byte < low || byte > high) break;
    low = 0x80;
    high = 0xBF;
    ++length;
  }
  return length;
}

}  // namespace

std::string to_utf8(Bytes bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Lead lead = lead_of(static_cast<std::uint8_t>(bytes.front()));
    const std::size_t length = part_length(bytes, lead);
    text += lead.valid && length == lead.following + 1 ? bytes.substr(0, length) : replacement;
    bytes.remove_prefix(length);
  }
  return text;
}

// Every character has one lead byte; those of four bytes take two units.
std::size_t utf16_length(Bytes utf8) {
  const auto units = [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    if ((byte & 0xC0U) == 0x80) return 0;
    return byte >= 0xF0 ? 2 : 1;
  };
  std::size_t length = 0;
  for (const char c : utf8)
    length += static_cast<std::size_t>(units(c));
  return length;
}

}  // namespace dhrt
