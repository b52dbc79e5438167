// What the REPL knows about a line that is being typed: completions, hints, help.
//
// Pure functions of the line and the command table; nothing is asked of a node here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "protocol/text.h"
#include "storage/base/bytes.h"

namespace dhrt {

struct Completion {
  std::size_t begin = 0;  // Where in the line the word stands that they replace.
  std::vector<std::string> candidates;
};

// What the last word of `line` (all that is left of the cursor) may become.
Completion complete(Bytes line, const std::vector<std::string>& collections);
// Whether that word may be the name of a collection, so that asking for them is worth it.
bool completes_collection(Bytes line);
// What all candidates begin with.
std::string common_prefix(const std::vector<std::string>& candidates);

// The usage of the command that is being typed; empty before it is known.
std::string usage_hint(Bytes line);
// Why the line is not worth sending: unknown command (with the nearest), words missing.
std::optional<std::string> reason_to_keep(const std::vector<text::Token>& tokens);

// A line that is not for a history file: it holds a token.
bool is_secret(Bytes line);

std::string repl_help();
// Absent if there is no such command.
std::optional<std::string> repl_help(Bytes command);

// The names in what a node says to `collections`.
std::vector<std::string> collection_names(Bytes json);

}  // namespace dhrt
