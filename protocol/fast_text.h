// Recognises the plain form of `get` and `set` lines (protocol/text.h says what lines are):
//
//   get KEY    get COLLECTION KEY    set KEY VALUE    set COLLECTION KEY VALUE
//
// in any case, one space between the words, no quotes, no flags. What it recognises means the
// same as parse_line() and split_arguments() would have said; everything else is theirs.
#pragma once

#include "protocol/fast_command.h"
#include "protocol/limits.h"

namespace dhrt::text {

// Fills `batch` with the lines at the front of `input`, up to the first that is of another kind
// or not complete.
void recognise(Bytes input, const ProtocolLimits& limits, FastBatch& batch);

}  // namespace dhrt::text
