#include "node/cli_import_line.h"

#include "protocol/json.h"

namespace dhrt {

namespace {

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

using Value = json::Document::Value;

// A member that may be absent or null; `type_error` if it is of another type.
Status read_text(const Value& root, Bytes name, std::string& target) {
  const auto member = root.member(name);
  if (!member || member->is_null()) return {};
  auto text = member->string();
  if (!text) return refuse("\"" + std::string(name) + "\" must be a string");
  target = *std::move(text);
  return {};
}

Result<std::optional<std::int64_t>> read_milliseconds(const Value& root, Bytes name) {
  const auto member = root.member(name);
  if (!member || member->is_null()) return std::optional<std::int64_t>();
  const auto number = member->integer();
  if (!number || *number <= 0)
    return refuse("\"" + std::string(name) + "\" must be a whole number of milliseconds above 0");
  return number;
}

Status decode_base64(DumpEntry& entry) {
  auto key = json::from_base64(entry.key);
  auto value = json::from_base64(entry.value);
  if (!key || !value) return refuse("key and value must both be base64, as \"encoding\" says");
  entry.key = *std::move(key);
  entry.value = *std::move(value);
  return {};
}

Result<ImportEntry> entry_of(const Value& root) {
  ImportEntry entry;
  const auto key = root.member("key");
  const auto value = root.member("value");
  if (!key || !key->string()) return refuse("\"key\" is missing or no string");
  if (!value || !value->string()) return refuse("\"value\" is missing or no string");
  entry.key = *key->string();
  entry.value = *value->string();
  std::string encoding;
  Status status = read_text(root, "collection", entry.collection);
  if (status) status = read_text(root, "type", entry.type);
  if (status) status = read_text(root, "encoding", encoding);
  if (!status) return tl::unexpected(status.error());
  const auto ttl = read_milliseconds(root, "ttl");
  const auto deadline = read_milliseconds(root, "deadline");
  if (!ttl) return tl::unexpected(ttl.error());
  if (!deadline) return tl::unexpected(deadline.error());
  entry.ttl_milliseconds = *ttl;
  entry.deadline = static_cast<WallMilliseconds>(deadline->value_or(0));
  if (encoding.empty()) return entry;
  if (encoding != "base64") return refuse("\"encoding\" can only be \"base64\"");
  if (status = decode_base64(entry); !status) return tl::unexpected(status.error());
  return entry;
}

Result<json::Document> parse_object(Bytes line) {
  auto document = json::Document::parse(line);
  if (!document)
    return refuse(document.error().message + "; for a list of words give --format words");
  if (!document->root().is_object())
    return refuse("a JSON object is wanted: {\"key\":\"k\",\"value\":\"v\"}");
  return document;
}

Result<ExportEnd> end_of(const Value& root) {
  ExportEnd end;
  const auto keys = root.member("keys");
  const auto count = keys ? keys->integer() : std::nullopt;
  if (!count || *count < 0) return refuse("the last line of the export does not count its keys");
  end.keys = static_cast<std::uint64_t>(*count);
  if (auto status = read_text(root, "checksum", end.checksum); !status)
    return tl::unexpected(status.error());
  return end;
}

text::Token word(std::string text) {
  const bool quoted = text.starts_with("--");
  return {.text = std::move(text), .quoted = quoted};
}

void add_flag(std::vector<text::Token>& tokens, std::string flag, std::string value) {
  tokens.push_back({.text = std::move(flag), .quoted = false});
  tokens.push_back(word(std::move(value)));
}

Result<ImportLine> line_of(ImportEntry entry, const ImportLineOptions& options) {
  if (entry.key.empty()) return refuse("the key is empty; a key has 1 to 511 bytes");
  ImportLine line{.kind = ImportLine::Kind::key, .tokens = {}, .end = {}};
  if (entry.deadline != 0) {
    if (entry.deadline <= options.now) {
      line.kind = ImportLine::Kind::expired;
      return line;
    }
    entry.ttl_milliseconds = static_cast<std::int64_t>(entry.deadline - options.now);
  }
  const std::string& collection =
      options.collection.empty() ? entry.collection : options.collection;
  line.tokens.push_back(word("set"));
  if (!collection.empty()) line.tokens.push_back(word(collection));
  line.tokens.push_back(word(std::move(entry.key)));
  line.tokens.push_back(word(std::move(entry.value)));
  if (entry.ttl_milliseconds)
    add_flag(line.tokens, "--ttl", std::to_string(*entry.ttl_milliseconds) + "ms");
  if (!entry.type.empty()) add_flag(line.tokens, "--type", std::move(entry.type));
  return line;
}

}  // namespace

std::optional<ImportFormat> parse_import_format(Bytes name) {
  if (name == "ndjson") return ImportFormat::ndjson;
  if (name == "words") return ImportFormat::words;
  return std::nullopt;
}

Result<ImportEntry> parse_import_line(Bytes line) {
  const auto document = parse_object(line);
  if (!document) return tl::unexpected(document.error());
  return entry_of(document->root());
}

Result<ImportLine> import_line(const ImportLineOptions& options, std::uint64_t line_number,
                               Bytes line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find_first_not_of(" \t") == Bytes::npos) return ImportLine{};
  if (options.format == ImportFormat::words) {
    ImportEntry entry;
    entry.key = std::string(line);
    entry.value = std::to_string(line_number);
    return line_of(std::move(entry), options);
  }
  const auto document = parse_object(line);
  if (!document) return tl::unexpected(document.error());
  const Value root = document->root();
  if (root.member(dump_begin_key))
    return ImportLine{.kind = ImportLine::Kind::begin, .tokens = {}, .end = {}};
  if (root.member(dump_end_key)) {
    auto end = end_of(root);
    if (!end) return tl::unexpected(end.error());
    return ImportLine{.kind = ImportLine::Kind::end, .tokens = {}, .end = *std::move(end)};
  }
  auto entry = entry_of(root);
  if (!entry) return tl::unexpected(entry.error());
  return line_of(*std::move(entry), options);
}

}  // namespace dhrt
