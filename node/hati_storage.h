// Hati's kinds of storage, for both of its dialects: "memory" and "hdd" are collections of those
// names, and what they are called says where they are kept (storage/catalog.h).
#pragma once

#include <string>

#include "node/commands.h"

namespace dhrt::hati {

bool is_storage(Bytes type);

// One line of JSON: the keys of each kind, in all and by shard, and the connections of the node.
// A collection of ours is one shard.
std::string stats(CommandServer& server, const Grant& grant);

}  // namespace dhrt::hati
