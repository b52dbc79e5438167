// Which event loop a new client is served by, for as long as it is connected.
//
// Intuition: the kernel spreads connections by a hash, so that of 50 clients and two loops one loop
// may get 32, and the others wait behind them. Whoever accepts one gives it to the loop that has
// the fewest, and keeps it if that is itself.
//
// Threads: any. Two loops that accept at the same moment may choose the same one.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

namespace dhrt {

class Placement {
 public:
  explicit Placement(unsigned loops) : loops_(loops) {}

  // For a client that the loop `accepting` has; counts it where it goes.
  unsigned place(unsigned accepting) {
    unsigned chosen = accepting;
    for (unsigned loop = 0; loop < loops_.size(); ++loop) {
      if (clients(loop) < clients(chosen)) chosen = loop;
    }
    loops_[chosen].clients.fetch_add(1, std::memory_order_relaxed);
    return chosen;
  }
  void left(unsigned loop, std::size_t count) {
    loops_[loop].clients.fetch_sub(count, std::memory_order_relaxed);
  }
  // It could not be given away.
  void stays(unsigned loop, unsigned instead_of) {
    left(instead_of, 1);
    loops_[loop].clients.fetch_add(1, std::memory_order_relaxed);
  }
  std::size_t clients(unsigned loop) const {
    return loops_[loop].clients.load(std::memory_order_relaxed);
  }
  std::size_t clients() const {
    std::size_t sum = 0;
    for (unsigned loop = 0; loop < loops_.size(); ++loop)
      sum += clients(loop);
    return sum;
  }

 private:
  struct alignas(64) OfLoop {
    std::atomic<std::size_t> clients{0};
  };
  std::vector<OfLoop> loops_;
};

}  // namespace dhrt
