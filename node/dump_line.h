// One key as a line of an export, there and back.
//
// Errors: none in writing; reading is dhrt import's (cli_import_line.h).
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/time.h"

namespace dhrt {

struct DumpEntry {
  std::string collection;  // Empty: not said.
  std::string key;
  std::string value;
  WallMilliseconds deadline = 0;  // 0: never.
  std::string type;               // Content type; empty: none.
};

// Without a line end. Bytes that are not UTF-8 are written as base64.
std::string dump_line(const DumpEntry& entry);

inline constexpr Bytes dump_begin_key = "dhrt-export";
inline constexpr Bytes dump_end_key = "dhrt-export-end";
std::string dump_begin_line();
std::string dump_end_line(std::uint64_t keys, const std::string& checksum);

}  // namespace dhrt
