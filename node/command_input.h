// Checks that several commands make on what they were given; the HTTP routes make them, too.
#pragma once

#include <string>

#include "cluster/level_words.h"
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
// --ack and --read.
Result<WriteLevel> write_level_of(const Arguments& arguments);
Result<ReadLevel> read_level_of(const Arguments& arguments);

}  // namespace dhrt
