// How a string gets into JSON text, in two steps so that megabytes are written once, into place.
//
// Units: bytes, quotes included. Threads: any.
#pragma once

#include "storage/base/bytes.h"

namespace dhrt::json {

std::size_t quoted_bytes(Bytes utf8);
// Writes quoted_bytes(utf8) bytes to `to`.
void write_quoted(char* to, Bytes utf8);

}  // namespace dhrt::json
