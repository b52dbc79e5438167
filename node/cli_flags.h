// The flags of client commands as data, and what a client command was told.
//
// The flags that a node acts on (--ttl) are named in the command table; here is what they mean.
// The rest (--host) are the program's own.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "node/console.h"
#include "protocol/arguments.h"
#include "storage/base/time.h"

namespace dhrt {

struct FlagInfo {
  std::string_view name;
  std::string_view placeholder;  // Empty: takes no value.
  std::string_view default_text;
  std::string_view variable;
  std::string_view example;  // A value.
  std::string_view summary;
};

std::span<const FlagInfo> flag_table();
// `names` as in the command table, separated by blanks; unknown ones are left out.
std::string flags_help(std::string_view names);
// "--host": also for completion.
inline constexpr std::string_view client_flags = "host token-file tls tls-ca timeout json help";
inline constexpr std::string_view import_flags =
    "collection format pipeline host token-file tls tls-ca timeout json help";
inline constexpr std::string_view export_flags =
    "collection resume host token-file tls tls-ca timeout json help";
inline constexpr std::string_view verify_flags = "json help";
inline constexpr std::string_view repl_flags = "host token-file tls tls-ca timeout help";

// Words and flags of a command line behind the program's name. Errors as split_arguments.
Result<Arguments> split_command_line(const std::vector<std::string>& words,
                                     const std::string& known_flags);

}  // namespace dhrt
