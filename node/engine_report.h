// The figures of the storage engine, as parts of `stats`: log, checkpoint, memory, cache, scrub.
//
// Units: bytes, milliseconds and microseconds, as the names say.   Threads: any.
#pragma once

#include "protocol/json.h"
#include "storage/engine.h"

namespace dhrt {

// Writes members of an object that is open.
void write_engine_figures(json::Writer& writer, const EngineFigures& figures);

}  // namespace dhrt
