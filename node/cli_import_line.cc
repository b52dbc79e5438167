#include "node/cli_import_line.h"

#include "protocol/json.h"

namespace dhrt {

namespace {

struct Entry {
  std::string key;
  std::string value;
  std::optional<std::int64_t> ttl_ms;
};

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

Status decode_base64(Entry& entry) {
  auto key = json::from_base64(entry.key);
  auto value = json::from_base64(entry.value);
  if (!key || !value) return refuse("key and value must both be base64, as \"encoding\" says");
  entry.key = *std::move(key);
  entry.value = *std::move(value);
  return {};
}

Result<Entry> parse_entry(Bytes line) {
  const auto document = json::Document::parse(line);
  if (!document)
    return refuse(document.error().message + "; for a list of words give --format words");
  const auto root = document->root();
  if (!root.is_object()) return refuse("a JSON object is wanted: {\"key\":\"k\",\"value\":\"v\"}");
  const auto key = root.member("key");
  const auto value = root.member("value");
  if (!key || !key->string()) return refuse("\"key\" is missing or no string");
  if (!value || !value->string()) return refuse("\"value\" is missing or no string");
  Entry entry{*key->string(), *value->string(), std::nullopt};
  if (const auto ttl = root.member("ttl"); ttl && !ttl->is_null()) {
    entry.ttl_ms = ttl->integer();
    if (!entry.ttl_ms || *entry.ttl_ms <= 0)
      return refuse("\"ttl\" must be a whole number of milliseconds above 0");
  }
  if (const auto encoding = root.member("encoding"); encoding && !encoding->is_null()) {
    if (encoding->string() != "base64") return refuse("\"encoding\" can only be \"base64\"");
    if (auto status = decode_base64(entry); !status) return tl::unexpected(status.error());
  }
  return entry;
}

text::Token word(std::string text) {
  const bool quoted = text.starts_with("--");
  return {.text = std::move(text), .quoted = quoted};
}

}  // namespace

std::optional<ImportFormat> parse_import_format(Bytes name) {
  if (name == "ndjson") return ImportFormat::ndjson;
  if (name == "words") return ImportFormat::words;
  return std::nullopt;
}

Result<std::vector<text::Token>> import_tokens(ImportFormat format, const std::string& collection,
                                               std::uint64_t line_number, Bytes line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<text::Token> tokens;
  if (line.find_first_not_of(" \t") == Bytes::npos) return tokens;
  Entry entry{std::string(line), std::to_string(line_number), std::nullopt};
  if (format == ImportFormat::ndjson) {
    auto parsed = parse_entry(line);
    if (!parsed) return tl::unexpected(parsed.error());
    entry = *std::move(parsed);
  }
  if (entry.key.empty()) return refuse("the key is empty; a key has 1 to 511 bytes");
  tokens.push_back(word("set"));
  if (!collection.empty()) tokens.push_back(word(collection));
  tokens.push_back(word(std::move(entry.key)));
  tokens.push_back(word(std::move(entry.value)));
  if (entry.ttl_ms) {
    tokens.push_back(word("--ttl"));
    tokens.back().quoted = false;
    tokens.push_back(word(std::to_string(*entry.ttl_ms) + "ms"));
  }
  return tokens;
}

}  // namespace dhrt
