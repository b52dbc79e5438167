#include "node/access.h"

#include <algorithm>
#include <array>
#include <optional>
#include <toml++/toml.h>
#include <utility>

#include "node/read_file.h"
#include "node/secret.h"
#include "storage/record.h"

namespace dhrt {

namespace {

constexpr std::array<std::string_view, 4> role_words{"none", "read", "write", "admin"};

tl::unexpected<Error> refuse(const std::string& where, const std::string& why) {
  return fail(ErrorCode::invalid_argument, where + ": " + why);
}

Status check_token(const std::string& token, const std::string& where) {
  if (token.empty() || token.size() > token_bytes_max)
    return refuse(where, "a token has 1 to " + std::to_string(token_bytes_max) + " bytes");
  if (std::ranges::any_of(token, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    return refuse(where, "a token has no blanks and no control characters");
  return {};
}

std::optional<Role> parse_role(std::string_view word) {
  for (const Role role : {Role::read, Role::write, Role::admin}) {
    if (to_text(role) == word) return role;
  }
  return std::nullopt;
}

// What is not one of these would be a role without limits by mistake.
Status check_names(const toml::table& table, const std::string& where) {
  constexpr std::array names{"collections", "name", "role", "token"};
  for (const auto& [key, value] : table) {
    if (std::ranges::find(names, key.str()) == names.end())
      return refuse(where, "'" + std::string(key.str()) +
                               "' is unknown; a token has name, token, role and, if it is not "
                               "for everything, collections");
  }
  return {};
}

Status read_collections(const toml::table& table, const std::string& where, Grant& grant) {
  const auto node = table["collections"];
  if (!node) return {};
  const toml::array* list = node.as_array();
  if (list == nullptr || list->empty())
    return refuse(where, "collections is a list of names; leave it out for all");
  for (const toml::node& item : *list) {
    const auto name = item.value_exact<std::string>();
    if (!name || !valid_collection_name(*name) || system_collection_name(*name))
      return refuse(where, "collections has what is no name of a collection");
    grant.collections.push_back(*name);
  }
  return {};
}

}  // namespace

std::string_view to_text(Role role) {
  return role_words[static_cast<std::size_t>(role)];
}

bool Grant::may(Role needed, Bytes collection) const {
  if (role < needed) return false;
  return collections.empty() || std::ranges::find(collections, collection) != collections.end();
}

// Looks at every token, whichever it is.
const Grant* Access::find(Bytes token) const {
  const Grant* found = nullptr;
  for (const Token& one : tokens_) {
    if (equal_secrets(token, one.secret)) found = &one.grant;
  }
  return found;
}

std::vector<std::string> Access::short_ones() const {
  std::vector<std::string> names;
  for (const Token& token : tokens_) {
    if (token.secret.size() < token_bytes_advised) names.push_back(token.grant.name);
  }
  return names;
}

const Grant& Access::without_token() const {
  static const Grant everything{.name = "everybody", .role = Role::admin, .collections = {}};
  static const Grant nothing{.name = "nobody", .role = Role::none, .collections = {}};
  return open() ? everything : nothing;
}

Result<std::string> read_token_file(const std::string& path) {
  auto text = read_file(path);
  if (!text) return refuse("--token-file " + path, text.error().message);
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r'))
    text->pop_back();
  if (auto status = check_token(*text, "--token-file " + path); !status)
    return tl::unexpected(status.error());
  return text;
}

Status Access::add(Token token, const std::string& where) {
  if (auto status = check_token(token.secret, where); !status) return status;
  for (const Token& other : tokens_) {
    if (other.secret == token.secret) return refuse(where, "the token is there twice");
    if (other.grant.name == token.grant.name)
      return refuse(where, "two tokens are called '" + token.grant.name + "'");
  }
  tokens_.push_back(std::move(token));
  return {};
}

Status Access::add_from_file(const std::string& path) {
  auto secret = read_token_file(path);
  if (!secret) return tl::unexpected(secret.error());
  return add({*std::move(secret), {.name = "token-file", .role = Role::admin, .collections = {}}},
             "--token-file " + path);
}

Status Access::add_all_from_file(const std::string& path) {
  const std::string file = "--auth-file " + path;
  const auto text = read_file(path);
  if (!text) return refuse(file, text.error().message);
  toml::table parsed;
  try {
    parsed = toml::parse(*text);
  } catch (const toml::parse_error& error) {
    // Its words may repeat the line, and with it a token.
    return refuse(file, "line " + std::to_string(error.source().begin.line) +
                            " is no TOML; write [[token]], name, token and role");
  }
  const toml::array* list = parsed["token"].as_array();
  if (list == nullptr || list->empty() || parsed.size() != 1)
    return refuse(file, "it has no [[token]], or something else besides");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = file + ", token " + std::to_string(i + 1);
    const toml::table* table = list->get(i)->as_table();
    if (table == nullptr) return refuse(where, "write [[token]], name, token and role");
    if (auto status = check_names(*table, where); !status) return status;
    const auto name = (*table)["name"].value_exact<std::string>();
    const auto secret = (*table)["token"].value_exact<std::string>();
    const auto role = parse_role((*table)["role"].value_or(std::string_view()));
    if (!name || name->empty() || !secret) return refuse(where, "name and token are wanted");
    if (!role) return refuse(where, "role is read, write or admin");
    Token token{*secret, {.name = *name, .role = *role, .collections = {}}};
    if (auto status = read_collections(*table, where, token.grant); !status) return status;
    if (auto status = add(std::move(token), where); !status) return status;
  }
  return {};
}

Result<Access> Access::load(const Sources& sources) {
  Access access;
  Status status;
  if (!sources.token.empty())
    status =
        access.add({sources.token, {.name = "DHRT_TOKEN", .role = Role::admin, .collections = {}}},
                   "DHRT_TOKEN");
  if (status && !sources.token_file.empty()) status = access.add_from_file(sources.token_file);
  if (status && !sources.auth_file.empty()) status = access.add_all_from_file(sources.auth_file);
  if (!status) return tl::unexpected(status.error());
  return access;
}

}  // namespace dhrt
