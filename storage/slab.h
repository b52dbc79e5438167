// Memory for the records of one stripe: blocks of few sizes, cut from chunks, without a header
// per block.
//
// Intuition: whoever frees a block knows its size, so the block need not say it. A chunk has
// blocks of one size; it lies at a multiple of its own size, so that a block leads to its chunk.
// A chunk whose blocks are all free serves whatever size is asked for next, and its memory goes
// back to the system: data whose sizes change does not grow for ever.
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
#include <vector>

namespace dhrt {

class Slab {
 public:
  Slab() = default;
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

  // Memory taken from the system. Any thread.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Chunk;
  static constexpr std::size_t class_count = 64 + 48;
  static std::size_t class_of(std::size_t bytes);
  static std::size_t rounded_coarsely(std::size_t bytes);

  Chunk* new_chunk(std::size_t of_class, std::size_t block_bytes);
  void* cut(Chunk& chunk);
  void link(Chunk& chunk);
  void unlink(Chunk& chunk);
  void retire(Chunk& chunk);
  void count(std::size_t added, std::size_t taken);

  std::array<Chunk*, class_count> open_{};  // By size: chunks with a block to give.
  std::vector<void*> chunks_;               // All, for the end.
  std::vector<void*> cold_;                 // Empty ones, without memory behind them.
  Chunk* warm_ = nullptr;                   // One empty chunk that kept its memory.
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace dhrt
