// What one line of an import file stands for.
//
//   ndjson  {"key":"k","value":"v"}, if wanted with "collection", "ttl" (milliseconds from now on)
//           or "deadline" (milliseconds since 1970), "type" and "encoding":"base64"; or the first
//           and last line of an export (dump_line.h)
//   words   the line is the key, its number is the value
//
// Errors: invalid_argument; the message says what the line lacks, not where it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node/dump_line.h"
#include "protocol/text.h"
#include "storage/base/result.h"

namespace dhrt {

enum class ImportFormat { ndjson, words };
std::optional<ImportFormat> parse_import_format(Bytes name);

// What a line of JSON says of a key.
struct ImportEntry : DumpEntry {
  std::optional<std::int64_t> ttl_milliseconds;
};
Result<ImportEntry> parse_import_line(Bytes line);

struct ExportEnd {
  std::uint64_t keys = 0;
  std::string checksum;
};

struct ImportLine {
  enum class Kind { blank, key, expired, begin, end };
  Kind kind = Kind::blank;
  std::vector<text::Token> tokens;  // The `set` of a key.
  ExportEnd end;
};
struct ImportLineOptions {
  ImportFormat format = ImportFormat::ndjson;
  std::string collection;  // For lines that name none; empty: the default one.
  WallMilliseconds now = 0;
};
// For a line without its line end, the first line being 1.
Result<ImportLine> import_line(const ImportLineOptions& options, std::uint64_t line_number,
                               Bytes line);

}  // namespace dhrt
