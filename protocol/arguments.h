// The tokens of a command, told apart into words and flags.
//
//   --name=value, --name value   a flag with a value; a quoted token behind it is its value
//   --name                       a flag that takes none
//   --                           what follows is words only
//
// Which flags there are is the command's to say. Errors (invalid_argument): an unknown flag (the
// nearest known one is named), a missing or a superfluous value, a flag given twice.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/text.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

// Names without "--", separated by blanks: "ttl if-absent".
struct FlagNames {
  Bytes known;          // All that the command takes.
  Bytes without_value;  // Those that take no value, of any command.
};

// Of the native commands.
inline constexpr Bytes flags_without_value = "memory disk if-absent full";

struct Arguments {
  std::vector<std::string> words;  // The command name first.
  std::vector<std::pair<std::string, std::string>> flags;

  bool has(Bytes flag) const { return value_of(flag).has_value(); }
  // Empty for a flag without value; absent if the flag was not given. Borrows.
  std::optional<Bytes> value_of(Bytes flag) const;
};

Result<Arguments> split_arguments(std::vector<text::Token> tokens, const FlagNames& names);

}  // namespace dhrt
