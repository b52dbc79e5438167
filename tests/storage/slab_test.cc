#include "storage/slab.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

struct Block {
  std::size_t bytes;
  unsigned char filled_with;
};

// What a slab gave, and whether each block still has what was written to it.
class Checked {
 public:
  void allocate(std::size_t bytes, unsigned char fill) {
    auto* const block = static_cast<unsigned char*>(slab.allocate(bytes));
    REQUIRE(reinterpret_cast<std::uintptr_t>(block) % 8 == 0);
    const auto next = blocks.lower_bound(block);
    if (next != blocks.end()) REQUIRE(block + bytes <= next->first);
    if (next != blocks.begin())
      REQUIRE(std::prev(next)->first + std::prev(next)->second.bytes <= block);
    std::memset(block, fill, bytes);
    blocks.emplace(block, Block{bytes, fill});
  }

  void free(std::map<unsigned char*, Block>::iterator at) {
    const unsigned char* const end = at->first + at->second.bytes;
    const auto kept = [&](unsigned char byte) { return byte == at->second.filled_with; };
    REQUIRE(std::all_of(static_cast<const unsigned char*>(at->first), end, kept));
    slab.free(at->first, at->second.bytes);
    blocks.erase(at);
  }

  void free_all() {
    while (!blocks.empty())
      free(blocks.begin());
  }

  Slab slab;
  std::map<unsigned char*, Block> blocks;
};

std::size_t any_size(Random& random) {
  switch (random.below(4)) {
    case 0:
      return random.between(1, 200);
    case 1:
      return random.between(500, 600);
    case 2:
      return random.between(1, 8000);
    default:
      return random.between(30'000, 70'000);
  }
}

TEST_CASE("slab: blocks never overlap, are aligned, and keep what is written to them") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Checked checked;
    for (int i = 0; i < 4000; ++i) {
      if (checked.blocks.empty() || random.chance(i < 2000 ? 0.7 : 0.4)) {
        checked.allocate(any_size(random), static_cast<unsigned char>(random.below(256)));
      } else {
        auto at = checked.blocks.begin();
        std::advance(at, random.below(checked.blocks.size()));
        checked.free(at);
      }
    }
    checked.free_all();
    CHECK(checked.slab.bytes() <= Slab::chunk_bytes);
  }
}

TEST_CASE("slab: sizes are rounded up by at most an eighth, or to 8 bytes") {
  std::size_t before = 0;
  for (std::size_t bytes = 1; bytes <= Slab::block_max; ++bytes) {
    const std::size_t rounded = Slab::rounded(bytes);
    REQUIRE(rounded >= bytes);
    REQUIRE(rounded % 8 == 0);
    REQUIRE(rounded >= before);
    REQUIRE(rounded - bytes <= (bytes <= Slab::fine_max ? 7 : bytes / 8));
    before = rounded;
  }
  CHECK(Slab::rounded(140) == 144);
  CHECK(Slab::rounded(512) == 512);
  CHECK(Slab::rounded(513) == 576);
  CHECK(Slab::rounded(Slab::block_max) == Slab::block_max);
  CHECK(Slab::rounded(Slab::block_max + 1) == Slab::block_max + 1);
}

TEST_CASE("slab: a size that is used once costs a page, not a chunk") {
  Slab slab;
  void* const block = slab.allocate(100);
  CHECK(slab.bytes() == 4096);
  slab.free(block, 100);
}

TEST_CASE("slab: many blocks of one size take little more than their bytes") {
  Slab slab;
  for (int i = 0; i < 100'000; ++i)
    slab.allocate(144);
  CHECK(slab.bytes() >= 14'400'000);
  CHECK(slab.bytes() <= 14'400'000 * 1.005);
}

TEST_CASE("slab: memory of one size serves every other when it is free") {
  Slab slab;
  std::size_t highest = 0;
  for (std::size_t round = 0; round < 40; ++round) {
    const std::size_t bytes = 100 + round * 48;
    std::vector<void*> blocks;
    for (std::size_t taken = 0; taken < 4'000'000; taken += bytes)
      blocks.push_back(slab.allocate(bytes));
    highest = std::max(highest, slab.bytes());
    for (void* block : blocks)
      slab.free(block, bytes);
    CHECK(slab.bytes() <= Slab::chunk_bytes);
  }
  CHECK(highest <= 4'800'000);
}

TEST_CASE("slab: a block that comes and goes does not grow") {
  Slab slab;
  for (int i = 0; i < 100'000; ++i)
    slab.free(slab.allocate(3000), 3000);
  CHECK(slab.bytes() <= 8192);
}

// Moves what is in chunks that were chosen.
void evacuate(Checked& checked) {
  std::vector<std::pair<unsigned char*, Block>> chosen;
  for (const auto& block : checked.blocks) {
    if (checked.slab.is_evacuated(block.first)) chosen.push_back(block);
  }
  for (const auto& [at, block] : chosen) {
    checked.allocate(block.bytes, block.filled_with);
    checked.free(checked.blocks.find(at));
  }
}

TEST_CASE("slab: chunks that are little used are emptied, and what is left fills the others") {
  Random random(1);
  Checked checked;
  for (const std::size_t bytes : {144u, 2000u}) {
    for (std::size_t taken = 0; taken < 8'000'000; taken += bytes)
      checked.allocate(bytes, static_cast<unsigned char>(random.below(256)));
  }
  checked.allocate(100'000, 7);
  const std::size_t full = checked.slab.bytes();
  REQUIRE_FALSE(checked.slab.begin_evacuation());
  for (auto at = checked.blocks.begin(); at != checked.blocks.end();) {
    const auto next = std::next(at);
    if (at->second.bytes < 100'000 && random.chance(0.6)) checked.free(at);
    at = next;
  }
  CHECK(checked.slab.bytes() > full * 9 / 10);
  REQUIRE(checked.slab.begin_evacuation());
  evacuate(checked);
  checked.slab.end_evacuation();
  CHECK(checked.slab.bytes() < full / 2);
  CHECK_FALSE(checked.slab.begin_evacuation());
  checked.free_all();
  CHECK(checked.slab.bytes() <= Slab::chunk_bytes);
}

TEST_CASE("slab: a chunk that was chosen and not emptied serves again") {
  Checked checked;
  for (int i = 0; i < 4000; ++i)
    checked.allocate(1000, 1);
  for (int i = 0; i < 2000; ++i) {
    auto at = checked.blocks.begin();
    std::advance(at, i);
    checked.free(at);
  }
  const std::size_t chunks = (checked.slab.bytes() + Slab::chunk_bytes - 1) / Slab::chunk_bytes;
  REQUIRE(checked.slab.begin_evacuation());
  checked.slab.end_evacuation();
  for (int i = 0; i < 1000; ++i)
    checked.allocate(1000, 2);
  CHECK(checked.slab.bytes() <= chunks * Slab::chunk_bytes);
  checked.free_all();
}

TEST_CASE("slab: blocks come and go in the middle of an evacuation") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Checked checked;
    bool evacuating = false;
    int evacuations = 0;
    for (int i = 0; i < 30'000; ++i) {
      const std::size_t bytes = 4000 + 2000 * random.below(3);
      const bool grows = i / 1000 % 2 == 0;
      if (checked.blocks.empty() || random.chance(grows ? 0.9 : 0.15)) {
        checked.allocate(bytes, static_cast<unsigned char>(random.below(256)));
      } else {
        auto at = checked.blocks.lower_bound(
            checked.blocks.begin()->first +
            random.below(static_cast<std::uint64_t>(checked.blocks.rbegin()->first -
                                                    checked.blocks.begin()->first) +
                         1));
        checked.free(at);
      }
      if (!random.chance(0.01)) continue;
      if (evacuating) {
        if (random.chance(0.8)) evacuate(checked);
        checked.slab.end_evacuation();
        evacuating = false;
      } else {
        evacuating = checked.slab.begin_evacuation();
        evacuations += evacuating ? 1 : 0;
      }
    }
    CHECK(evacuations > 3);
    checked.free_all();
    CHECK(checked.slab.bytes() <= Slab::chunk_bytes);
  }
}

}  // namespace
}  // namespace dhrt::test
