// Names that are the same in any case, of ASCII letters only and whatever the locale is.
#pragma once

#include <algorithm>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt {

inline char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline char upper_case(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

inline std::string to_upper(Bytes text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), upper_case);
  return out;
}

inline bool equal_in_any_case(Bytes left, Bytes right) {
  return std::ranges::equal(left, right, {}, lower_case, lower_case);
}

}  // namespace dhrt
