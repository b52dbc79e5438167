// What makes readable text of any bytes, as JavaScript does.
//
// Total. Threads: any.
#pragma once

#include <cstddef>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt {

// Bytes that are no UTF-8 become U+FFFD, one for each maximal part of a character that began well
// (Encoding Standard, "UTF-8 decoder"; Unicode 3.9, U+FFFD substitution of maximal subparts).
std::string to_utf8(Bytes bytes);

// Length in UTF-16 code units, which is what JavaScript calls the length of a string. Of UTF-8.
std::size_t utf16_length(Bytes utf8);

}  // namespace dhrt
