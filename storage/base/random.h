// A small deterministic random generator (xoshiro256**, Blackman and Vigna 2018; seeded by
// splitmix64). Same seed, same numbers, on every machine: the simulator depends on it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dhrt {

class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();
  // Uniform in [0, bound); `bound` is at least 1.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  // True with the given probability, 0.0 to 1.0.
  bool chance(double probability);

  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::array<std::uint64_t, 4> state_;
};

// A seed that nobody can guess, from the operating system. For node/, and for salts on disk.
std::uint64_t random_seed();

}  // namespace dhrt
