// Bricks of every disk and wire format: fixed-width integers (little endian), variable-length
// integers (LEB128, at most 10 bytes) and byte strings with a length in front.
//
// A Reader is total: it never reads outside its input. After the first failure every further
// read gives zero or empty, and ok() is false; a decoder checks it once, at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt {

class ByteWriter {
 public:
  // Appends to `out`, which outlives the writer.
  explicit ByteWriter(std::string& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(std::uint16_t value) { fixed(value, 2); }
  void u32(std::uint32_t value) { fixed(value, 4); }
  void u64(std::uint64_t value) { fixed(value, 8); }
  void varint(std::uint64_t value);
  void raw(Bytes bytes) { out_.append(bytes); }
  // varint length, then the bytes.
  void bytes(Bytes bytes) {
    varint(bytes.size());
    raw(bytes);
  }

 private:
  void fixed(std::uint64_t value, std::size_t width);
  std::string& out_;
};

class ByteReader {
 public:
  // Borrows `input` for its own lifetime; what it returns borrows from `input` too.
  explicit ByteReader(Bytes input) : rest_(input) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(fixed(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(fixed(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(fixed(4)); }
  std::uint64_t u64() { return fixed(8); }
  std::uint64_t varint();
  Bytes raw(std::size_t count);
  // A byte string of at most `bytes_max`; a longer one is a failure.
  Bytes bytes(std::size_t bytes_max);
  // A varint that counts things of at least `bytes_each` bytes: a count that the rest of the
  // input cannot hold is a failure, so that no decoder reserves memory for a lie.
  std::size_t count(std::size_t bytes_each);

  void fail() {
    ok_ = false;
    rest_ = {};
  }
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  Bytes rest() const { return rest_; }

 private:
  std::uint64_t fixed(std::size_t width);
  Bytes rest_;
  bool ok_ = true;
};

}  // namespace dhrt
