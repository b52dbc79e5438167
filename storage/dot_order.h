// Steps through dots in order, jumping over whole intervals of a context instead of testing
// each dot: what makes a walk or a sweep cost as much as it finds, not as much as there is.
//
// Bounds: one call looks at one origin, or at the few origins behind it.
#pragma once

#include <optional>

#include "storage/context.h"
#include "storage/record.h"

namespace dhrt {

// The first dot of the same origin, at or behind `from`, that is not in the context.
Dot next_absent(const Context& context, const Dot& from);
// The first dot at or behind `from` that is in the context, of whatever origin.
std::optional<Dot> next_present(const Context& context, const Dot& from);

}  // namespace dhrt
