// An engine made of one store with one lock, for as many event loops as wanted.
//
// Intuition: whatever a loop does with the store, it does alone. Slow under load, and right.
// Threads: as storage/engine.h says.   Errors: those of the store.
#pragma once

#include <memory>

#include "storage/engine.h"

namespace dhrt {

Result<std::unique_ptr<Engine>> open_locked_engine(const EngineOptions& options);

}  // namespace dhrt
