// Numbers as Redis reads and writes them in strings.
//
// Integers: decimal, 64 bits, no '+', no zeros in front, no blanks, no "-0".
// Floats: what strtold takes as a whole, without blanks; neither NaN nor beyond the range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt::resp {

std::optional<std::int64_t> parse_integer(Bytes text);
std::optional<long double> parse_float(Bytes text);
// 17 digits behind the point at most, no zeros at the end, no exponent.
std::string to_text(long double value);

}  // namespace dhrt::resp
