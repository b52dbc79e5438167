// Values in the form in which Redis' DUMP gives and RESTORE takes them.
//
//   dump   := type u8 (= 0: a string), string, version u16, checksum u64 (CRC-64, all before it)
//   string := length, bytes | 0xc0 i8 | 0xc1 i16 | 0xc2 i32 (a decimal number)
//             | 0xc3 length of what follows, length of the string, bytes in LZF
//   length := 00xxxxxx | 01xxxxxx u8 | 0x80 u32 | 0x81 u64 (these two big endian)
//
// Numbers are little endian but for lengths. Sources: the RDB file format; LZF as in liblzf; CRC-64
// with the polynomial of Jones, both directions reflected.
#pragma once

#include <optional>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt::resp {

std::string dump_of(Bytes value);

struct Restored {
  enum class Outcome { value, bad_version_or_checksum, bad_format };
  Outcome outcome = Outcome::bad_format;
  std::string value{};
};
// Types of values other than strings are a bad format, and so is one above `value_bytes_max`.
Restored restore(Bytes dump, std::size_t value_bytes_max);

}  // namespace dhrt::resp
