// What one line of an import file stands for.
//
//   ndjson  {"key":"k","value":"v"} with "ttl" (milliseconds) and "encoding":"base64" if wanted
//   words   the line is the key, its number is the value
//
// Errors: invalid_argument; the message says what the line lacks, not where it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/text.h"
#include "storage/base/result.h"

namespace dhrt {

enum class ImportFormat { ndjson, words };
std::optional<ImportFormat> parse_import_format(Bytes name);

// The `set` for a line without its line end, the first line being 1. Empty collection: the
// default one. No tokens: a blank line, nothing to do.
Result<std::vector<text::Token>> import_tokens(ImportFormat format, const std::string& collection,
                                               std::uint64_t line_number, Bytes line);

}  // namespace dhrt
