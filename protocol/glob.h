// Patterns of keys, as KEYS and SCAN take them.
//
//   ?  any byte      *  any run of bytes      [a-z]  one of these      [^a]  none of these      \c
//   c
//
// A class without its end reaches to the end of the pattern; a backslash at the end is itself.
// Bounds: no recursion, time at most pattern length times text length.
#pragma once

#include "storage/base/bytes.h"

namespace dhrt {

bool glob_matches(Bytes pattern, Bytes text);
// What every match begins with; the whole pattern if nothing in it is special. Borrows.
Bytes glob_prefix(Bytes pattern);

}  // namespace dhrt
