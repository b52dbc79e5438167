// Who may do what: tokens with roles, the same behind every dialect.
//
// While no token is configured everybody may do everything. With one, whoever has shown none may
// do nothing but show one, and those that have may do what their token is for.
//
// Tokens are compared in a time that does not depend on them, are never logged, and never leave
// the process. Errors: invalid_argument with the file and what to write instead.
// Threads: constant after load(); any.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

// Each includes those before it.
enum class Role : std::uint8_t { none, read, write, admin };
std::string_view to_text(Role role);

struct Grant {
  std::string name;  // For log lines; says nothing about the token.
  Role role = Role::none;
  std::vector<std::string> collections;  // What it is for; empty: everything.

  bool may(Role needed, Bytes collection) const;
  // For what is not about one collection: all of them, channels, the node itself.
  bool may_everywhere(Role needed) const { return role >= needed && collections.empty(); }
};

// Tokens are 1 to so many bytes, none of them a blank or a control character.
inline constexpr std::size_t token_bytes_max = 256;
// Of shorter ones a start warns: 16 random letters and digits are 95 bits, which nobody guesses.
inline constexpr std::size_t token_bytes_advised = 16;

// The only line of a file. invalid_argument: it cannot be read, or is no token.
Result<std::string> read_token_file(const std::string& path);

class Access {
 public:
  struct Sources {
    std::string token;       // Of an administrator, from the environment; empty: none.
    std::string token_file;  // With one, in its only line; empty: none.
    std::string auth_file;   // TOML, with [[token]] tables of name, token, role, collections.
  };
  // Everything is open.
  Access() = default;
  static Result<Access> load(const Sources& sources);

  // No token is asked for.
  bool open() const { return tokens_.empty(); }
  // Null: it is no token.
  const Grant* find(Bytes token) const;
  // Names of tokens that are shorter than is advised.
  std::vector<std::string> short_ones() const;
  // Of who has shown none.
  const Grant& without_token() const;

 private:
  struct Token {
    std::string secret;
    Grant grant;
  };
  Status add(Token token, const std::string& where);
  Status add_from_file(const std::string& path);
  Status add_all_from_file(const std::string& path);

  std::vector<Token> tokens_;
};

}  // namespace dhrt
