// Steps through dots in order, jumping over whole intervals of a context instead of testing
// each dot: what makes a walk or a sweep cost as much as it finds, not as much as there is.
//
// Bounds: one call looks at one origin, or at the few origins behind it.
#pragma once

#include <functional>
#include <optional>

#include "storage/context.h"
#include "storage/record.h"

namespace dhrt {

// The first dot of the same origin, at or behind `from`, that is not in the context.
Dot next_absent(const Context& context, const Dot& from);
// The first dot at or behind `from` that is in the context, of whatever origin.
std::optional<Dot> next_present(const Context& context, const Dot& from);

// The first dot, at or behind the given one, that an index has an entry for.
using SeekDot = std::function<std::optional<Dot>(const Dot&)>;
// The first indexed dot at or behind `from` that is not in `excluded`. Seeks once per excluded
// interval that holds an indexed dot, and once more.
std::optional<Dot> first_not_in(const Context& excluded, const Dot& from, const SeekDot& seek);
// The first indexed dot at or behind `from` that is in `wanted` but not in `excluded`.
std::optional<Dot> first_between(const Context& wanted, const Context& excluded, const Dot& from,
                                 const SeekDot& seek);

}  // namespace dhrt
