// Which known name somebody meant who typed another: "did you mean --bind?".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dhrt {

// The known name with the fewest letters to insert, drop, change or swap with their neighbour
// (Damerau 1964); the first of equals. Absent if more than a third of the letters would
// differ: a bad guess is worse than none.
std::optional<std::string> nearest_name(std::string_view typed,
                                        const std::vector<std::string>& known);

}  // namespace dhrt
