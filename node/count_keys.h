// How many keys a collection has, exactly.
//
// At once, unless many records were written blindly: those are looked at first, a slice per letter
// to the own loop, so that nobody waits for it. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "node/commands.h"

namespace dhrt {

// `done` is called within the call or later; with 0 if there is no such collection.
void count_keys(CommandServer& server, std::string collection,
                std::function<void(std::uint64_t)> done);

}  // namespace dhrt
