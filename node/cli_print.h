// How replies look to a person, and as JSON to a program.
//
// Errors: JSON that is not what a node says is shown as it came, never refused.
#pragma once

#include <string>

#include "protocol/reply.h"
#include "storage/base/bytes.h"

namespace dhrt {

// One line per element, without decoration; values keep their bytes. Nil is an empty line.
std::string plain_text(const Reply& reply);
// As a shell of a database shows it: (nil), (integer) 3, "text", 1) "first".
std::string pretty_text(const Reply& reply);
// Bytes that are not UTF-8 become {"base64":"..."}.
std::string json_text(const Reply& reply);

// An array of objects as columns with a heading; `first_columns` (separated by blanks) lead.
std::string table_text(Bytes json, Bytes first_columns);
// What a person looks for first; the rest follows as the node says it.
inline constexpr Bytes node_columns = "name id address state votes";
inline constexpr Bytes collection_columns = "name keys bytes storage";

// An object as "key: value" lines; inner objects as "outer.inner: value".
std::string properties_text(Bytes json);

// Control characters become '?': names come from other nodes and must not move the cursor.
std::string printable(Bytes text);

}  // namespace dhrt
