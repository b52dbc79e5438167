// Checks that several commands make on what they were given; the HTTP routes make them, too.
#pragma once

#include <string>

#include "protocol/arguments.h"
#include "protocol/limits.h"
#include "storage/base/result.h"
#include "storage/record.h"

namespace dhrt {

// 1 to key_bytes_max bytes.
Status check_key(Bytes key);
Status check_value(Bytes value, const ProtocolLimits& limits);
// A name that a client may use.
Status check_collection(Bytes name);
// --ack and --read: the levels that exist but are not given are named as such.
Status check_write_level(const Arguments& arguments);
// True: only this node is asked.
Result<bool> read_here_only(const Arguments& arguments);

}  // namespace dhrt
