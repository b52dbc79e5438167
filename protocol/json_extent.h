// Where a value of JSON text begins and ends, without reading what it is: texts that hold several
// values, and members that are wanted as they were written.
//
// Nothing is checked but brackets and quotes: what is found is to be parsed (json.h). Iterative,
// linear, takes no memory but for item_texts(). Threads: any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt::json {

// Without the blanks in front.
Bytes without_blanks(Bytes text);

// The end of the value at the front of `text`, which is not empty and begins with no blank. Absent:
// the text ends first.
std::optional<std::size_t> value_end(Bytes text);

// The texts of the items of the list that `text` is. Absent: it is no list. At most `count_max` of
// them and one more.
std::optional<std::vector<Bytes>> item_texts(Bytes text, std::size_t count_max);

// The value of the first member of that name, as it stands in `object`, which is valid JSON.
std::optional<std::string> member_text(Bytes object, Bytes name);

// Outside of strings.
std::size_t comma_count(Bytes text);

}  // namespace dhrt::json
