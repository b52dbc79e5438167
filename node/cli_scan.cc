#include "node/cli_scan.h"

#include <utility>

#include "node/cli_print.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

constexpr std::size_t parts_of_entry = 4;

tl::unexpected<Error> unknown_form(const std::string& command) {
  return fail(ErrorCode::corrupt, "the node answers `" + command +
                                      "` in a form that this program does not know; use the "
                                      "program of the node's version");
}

std::optional<DumpEntry> entry_of(Reply* parts) {
  auto* key = std::get_if<std::string>(&parts[0].value);
  auto* value = std::get_if<std::string>(&parts[1].value);
  const auto* deadline = std::get_if<std::int64_t>(&parts[2].value);
  auto* type = std::get_if<std::string>(&parts[3].value);
  if (key == nullptr || value == nullptr || deadline == nullptr || type == nullptr || *deadline < 0)
    return std::nullopt;
  return DumpEntry{.collection = {},
                   .key = std::move(*key),
                   .value = std::move(*value),
                   .deadline = static_cast<WallMilliseconds>(*deadline),
                   .type = std::move(*type)};
}

Result<Reply> ask(Client& client, const std::vector<text::Token>& tokens, Duration timeout) {
  auto reply = client.call(tokens, timeout);
  if (!reply) return reply;
  if (const auto* error = std::get_if<ReplyError>(&reply->value))
    return fail(ErrorCode::not_found, "the node refused: " + printable(error->message));
  return reply;
}

}  // namespace

Result<FullPage> read_full_page(Client& client, const std::string& collection,
                                const std::string& from, std::size_t limit, Duration timeout) {
  std::vector<text::Token> tokens{{.text = "scan", .quoted = false},
                                  {.text = collection, .quoted = false},
                                  {.text = "--full", .quoted = false},
                                  {.text = "--limit", .quoted = false},
                                  {.text = std::to_string(limit), .quoted = false}};
  if (!from.empty()) {
    tokens.push_back({.text = "--from", .quoted = false});
    tokens.push_back({.text = from, .quoted = true});
  }
  auto reply = ask(client, tokens, timeout);
  if (!reply) return tl::unexpected(reply.error());
  auto* parts = std::get_if<Reply::Array>(&reply->value);
  if (parts == nullptr || parts->size() != 2) return unknown_form("scan --full");
  const auto* next = std::get_if<std::string>(&(*parts)[0].value);
  auto* items = std::get_if<Reply::Array>(&(*parts)[1].value);
  if (next == nullptr || items == nullptr || items->size() % parts_of_entry != 0)
    return unknown_form("scan --full");
  FullPage page{.next = *next, .entries = {}};
  for (std::size_t i = 0; i < items->size(); i += parts_of_entry) {
    const auto* key = std::get_if<std::string>(&(*items)[i].value);
    const auto* error = std::get_if<ReplyError>(&(*items)[i + 1].value);
    if (key != nullptr && error != nullptr)
      return fail(ErrorCode::corrupt, "key '" + printable(*key) + "' of " + collection + ": " +
                                          printable(error->message));
    auto entry = entry_of(items->data() + i);
    if (!entry) return unknown_form("scan --full");
    page.entries.push_back(std::move(*entry));
  }
  return page;
}

Result<std::vector<ListedCollection>> read_collections(Client& client, Duration timeout) {
  const auto reply = ask(client, {{.text = "collections", .quoted = false}}, timeout);
  if (!reply) return tl::unexpected(reply.error());
  const auto* text = std::get_if<std::string>(&reply->value);
  if (text == nullptr) return unknown_form("collections");
  const auto document = json::Document::parse(*text);
  if (!document) return unknown_form("collections");
  std::vector<ListedCollection> collections;
  for (const auto& item : document->root().items()) {
    const auto name = item.member("name");
    const auto keys = item.member("keys");
    if (!name || !name->string()) return unknown_form("collections");
    const auto count = keys ? keys->integer().value_or(0) : 0;
    collections.push_back({*name->string(), static_cast<std::uint64_t>(count < 0 ? 0 : count)});
  }
  return collections;
}

}  // namespace dhrt
