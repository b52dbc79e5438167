#include "storage/base/codec.h"

#include <array>

namespace dhrt {

void ByteWriter::fixed(std::uint64_t value, std::size_t width) {
  std::array<char, sizeof(value)> bytes;
  for (char& byte : bytes) {
    byte = static_cast<char>(value & 0xff);
    value >>= 8;
  }
  out_.append(bytes.data(), width);
}

void ByteWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

std::uint64_t ByteReader::fixed(std::size_t width) {
  if (rest_.size() < width) {
    fail();
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = width; i > 0; --i)
    value = (value << 8) | static_cast<unsigned char>(rest_[i - 1]);
  rest_.remove_prefix(width);
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    // The tenth byte holds one bit only; more would be lost.
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  fail();
  return 0;
}

Bytes ByteReader::raw(std::size_t count) {
  if (rest_.size() < count) {
    fail();
    return {};
  }
  const Bytes result = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return result;
}

Bytes ByteReader::bytes(std::size_t bytes_max) {
  const std::uint64_t length = varint();
  if (length > bytes_max) {
    fail();
    return {};
  }
  return raw(static_cast<std::size_t>(length));
}

std::size_t ByteReader::count(std::size_t bytes_each) {
  const std::uint64_t number = varint();
  if (number > rest_.size() / bytes_each) {
    fail();
    return 0;
  }
  return static_cast<std::size_t>(number);
}

}  // namespace dhrt
