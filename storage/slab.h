// Memory for the records of one stripe: blocks of few sizes, cut from chunks, without a header
// per block.
//
// Intuition: whoever frees a block knows its size, so the block need not say it. A chunk has
// blocks of one size; it lies at a multiple of its own size, so that a block leads to its chunk.
// A chunk whose blocks are all free serves whatever size is asked for next, and its memory goes
// back to the system. So that data whose sizes change does not keep many chunks of which little is
// used, the emptiest can be chosen for evacuation: nothing is cut from them any more, and whoever
// knows what leads to their blocks moves those elsewhere.
//
// Units: bytes. Bounds: sizes go in steps of 8 to 512, then of an eighth to 32 KiB; larger ones
// are the C library's. A chunk takes memory page by page as it is cut, so a size that is used
// once costs a page, not a chunk.
// Threads: under the stripe's lock, but for bytes(). Blocks are aligned to 8.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace dhrt {

class Slab {
 public:
  Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  // Everything in it goes, whether it was given back or not, but for blocks above block_max.
  ~Slab();

  static constexpr std::size_t fine_max = 512;            // Steps of 8 up to here.
  static constexpr std::size_t block_max = 32768;         // Larger ones come from malloc.
  static constexpr std::size_t chunk_bytes = 256 * 1024;  // At a multiple of it.

  // What a block for so many bytes takes. `bytes` is at least 1.
  static std::size_t rounded(std::size_t bytes) {
    return bytes <= fine_max ? (bytes + 7) / 8 * 8 : rounded_coarsely(bytes);
  }

  void* allocate(std::size_t bytes);
  // `bytes` as it was asked for.
  void free(void* block, std::size_t bytes);
  // Fetches what free() will look at.
  static void prefetch_free(const void* block);

  // Chooses chunks whose blocks are to be moved, of every size that has more than an eighth as many
  // free blocks as used ones, and enough to fill a chunk. Their blocks find room in the others.
  // False: there are none. One evacuation at a time.
  bool begin_evacuation();
  // Whether a block, of any size, is in a chunk that was chosen.
  bool is_evacuated(const void* block) const { return evacuation_ != nullptr && is_chosen(block); }
  // Chunks that were not emptied serve again.
  void end_evacuation();

  // Memory taken from the system. Any thread.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Chunk;
  struct Evacuation;
  struct Class {
    Chunk* open = nullptr;     // Chunks with a block to give.
    std::uint32_t blocks = 0;  // That were cut.
    std::uint32_t spare = 0;   // Of those, how many are free.
    std::uint32_t used() const { return blocks - spare; }
  };
  static constexpr std::size_t class_count = 64 + 48;
  static std::size_t class_of(std::size_t bytes);
  static std::size_t rounded_coarsely(std::size_t bytes);

  Chunk* new_chunk(std::size_t of_class, std::size_t block_bytes);
  void* cut(Chunk& chunk);
  void link(Chunk& chunk);
  void unlink(Chunk& chunk);
  void retire(Chunk& chunk);
  void choose(Class& of_class);
  bool is_chosen(const void* block) const;
  void count(std::size_t added, std::size_t taken);

  std::array<Class, class_count> classes_{};  // By size.
  std::vector<void*> chunks_;                 // All, for the end.
  std::vector<void*> cold_;                   // Empty ones, without memory behind them.
  Chunk* warm_ = nullptr;                     // One empty chunk that kept its memory.
  std::unique_ptr<Evacuation> evacuation_;    // Null: there is none.
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace dhrt
