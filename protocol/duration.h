// Durations and sizes with units, as people write them: 500ms 2s 5m 2h 1d, 64kb 16mb 1gb.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"
#include "storage/base/time.h"

namespace dhrt {

// A number and one of ms s m h d. A bare number other than 0 is an error that says so.
Result<Duration> parse_duration(Bytes text);
// A number and optionally one of b kb mb gb tb (powers of 1024).
Result<std::uint64_t> parse_byte_size(Bytes text);
std::string to_text(Duration duration);

}  // namespace dhrt
