// How many files and sockets this process may have open, and what a node can take with them.
//
// Intuition: who runs out of descriptors in the middle of its work cannot bring into the files
// what its clients were promised, so the limits are made to fit before there is any work.
//
// Units: descriptors, which `ulimit -n` counts.   Errors: none; what the system does not give is
// done without.   Threads: before any others are started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/options.h"

namespace dhrt {

// A collection's file, and the lock beside it.
inline constexpr std::uint64_t descriptors_per_collection = 2;

struct NodeCapacity {
  std::uint64_t clients = 0;
  std::uint64_t collections = 0;

  bool operator==(const NodeCapacity&) const = default;
};

// What --max-clients and --max-collections need, with a reserve for all else.
std::uint64_t descriptors_wanted(const NodeOptions& options);
// What a node with these options can take if it gets `descriptors`: as asked if that is enough;
// else collections get what clients leave, but a quarter of it all at least. One of each always.
NodeCapacity capacity_with(std::uint64_t descriptors, const NodeOptions& options);

// Raises the limit of this process to `wanted` if it can. The limit now.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted);
// Raises the limit for a node with these options. If the system gives less, lowers them to what it
// can take, and returns a sentence about it.
std::optional<std::string> fit_to_descriptors(NodeOptions& options);

}  // namespace dhrt
