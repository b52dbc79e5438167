// Recognises the plain form of GET and SET as Redis clients send them (protocol/resp_command.h
// says what arrays are):
//
//   *2 $3 GET $n KEY     *3 $3 SET $n KEY $n VALUE        names in any case
//
// What it recognises means the same as CommandReader would have said; everything else is its.
#pragma once

#include "protocol/fast_command.h"
#include "protocol/limits.h"

namespace dhrt::resp {

// Fills `batch` with the commands at the front of `input`, up to the first that is of another kind
// or not complete. All are about `collection`.
void recognise(Bytes input, Bytes collection, const ProtocolLimits& limits, FastBatch& batch);

}  // namespace dhrt::resp
