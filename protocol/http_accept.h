// Which of two forms of an answer a client prefers, as Accept says it (RFC 9110, section 12.5.1):
//
//   field := range ("," range)*      range := type "/" subtype (";" name "=" value)*
//
// "*/*" and "type/*" stand for many; of the ranges that fit a type the closest one counts. `q`,
// from 0 to 1 with up to three digits behind the point, says how welcome it is, and 0 that it is
// not; 1 is meant where there is none. Other parameters are passed over, as our types have none.
//
// Total: a range that is malformed fits nothing, the others count. Threads: any.
#pragma once

#include "storage/base/bytes.h"

namespace dhrt::http {

struct Acceptance {
  int thousandths = 0;  // q; 0: not wanted, or not named at all.
  // How close the range is that says so.
  enum class Closeness { none, any, any_of_kind, itself };
  Closeness closeness = Closeness::none;
};

// `type` is "application/json", in lower case.
Acceptance acceptance_of(Bytes field, Bytes type);

}  // namespace dhrt::http
