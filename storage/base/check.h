// Ends the process when an invariant of our own does not hold.
//
// Never for anything that comes from a client, a peer or a disk: that is an Error. A node whose
// own state is wrong must not go on writing; it is replaced by a restart from what is on disk.
#pragma once

namespace dhrt {

[[noreturn]] void check_failed(const char* expectation, const char* file, int line);

// `expectation` says in words what had to be true.
inline void check(bool holds, const char* expectation, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (!holds) [[unlikely]]
    check_failed(expectation, file, line);
}

}  // namespace dhrt
