// Background work in small pieces: between two of them a thread gives way to who waits for its
// processor.
//
// Intuition: the kernel lets a thread finish its slice, some milliseconds, before one that woke up
// has its turn. For an event loop that is long. A thread that gives way often never makes it wait,
// and loses nothing where a processor is free.
//
// Threads: any; each says for itself whether its work is of that kind.
#pragma once

namespace dhrt {

// From here on give_way() does so on this thread, or does nothing (the default).
void set_gives_way(bool gives_way);
bool gives_way();
// About a microsecond. Without a lock that others need.
void give_way();

// A comparison for a long sort, which gives way now and then.
template <typename Compare>
auto giving_way(Compare compare) {
  return [compare, calls = 0U](const auto& left, const auto& right) mutable {
    constexpr unsigned calls_at_once = 1024;
    if (++calls % calls_at_once == 0) give_way();
    return compare(left, right);
  };
}

}  // namespace dhrt
