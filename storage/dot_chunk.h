// The entries of 448 sequences that follow each other: a part of a DotIndex.
//
// Intuition: a bit per sequence says whether it has an entry, and these bits share one cache line
// with their number. To take an entry out is to clear its bit: no lock, and nothing else is
// touched. The pointers stand elsewhere: one place per sequence (dense), or places only for those
// sequences that had an entry when it was packed or came since. A pointer whose bit is clear leads
// nowhere any more.
//
// Bounds: 128 bytes, and 8 for each place; 56 more when packed.
// Threads: take() and left() any; all else under the lock of who owns the chunk.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "storage/base/function_ref.h"
#include "storage/entry.h"

namespace dhrt {

class alignas(64) DotChunk {
 public:
  static constexpr std::size_t sequences = 448;

  DotChunk() = default;
  DotChunk(const DotChunk&) = delete;
  DotChunk& operator=(const DotChunk&) = delete;
  ~DotChunk();

  // Takes out the entry at an offset, which must be there. Nothing here may be touched after it:
  // with its last entry the chunk may go. True: tidy() has something to do.
  bool take(std::size_t offset) {
    live_[offset / 64].fetch_and(~bit_of(offset));
    const std::uint32_t before = tally_.fetch_sub(1);
    return (before & count_bits) - 1 < before >> threshold_shift;
  }
  // How many entries there are.
  std::size_t left() const { return tally_.load() & count_bits; }

  // False, and nothing done, if the offset has an entry.
  bool add(std::size_t offset, Entry& entry);
  // Puts an entry in the place of the one that is there.
  void exchange(std::size_t offset, Entry& entry);
  // Makes it smaller if many of its places are of entries that went.
  void tidy();
  // For a chunk that is likely to be filled: a place for each sequence.
  void become_dense();
  bool is_well_filled() const { return left() >= dense_from; }
  // Shows entries from an offset on, until `visit_entry` says false; true if it never did.
  bool visit(std::size_t offset, FunctionRef<bool(Entry&)> visit_entry) const;
  std::size_t bytes() const;

 private:
  static constexpr std::size_t words = sequences / 64;
  // A chunk is dense from so many entries on, and until it has fewer than that.
  static constexpr std::size_t dense_from = 168;
  static constexpr std::size_t dense_until = sequences / 4;
  // While a chunk is being filled it stays dense. It is filled when it has an entry from here on.
  static constexpr std::size_t filled_from = sequences - 32;
  static constexpr std::uint32_t count_bits = 0xffff;
  static constexpr unsigned threshold_shift = 16;

  static std::uint64_t bit_of(std::size_t offset) { return std::uint64_t{1} << (offset % 64); }
  static std::size_t packed_bytes(std::size_t room) {
    return words * sizeof(std::uint64_t) + room * sizeof(Entry*);
  }
  bool dense() const { return placed_ == sequences; }
  // A packed chunk has a bitmap of the offsets that have a place, in front of the places.
  std::uint64_t* bits() const { return reinterpret_cast<std::uint64_t*>(places_) - words; }
  bool has_place(std::size_t offset) const;
  std::size_t rank(std::size_t offset) const;
  Entry*& place_of(std::size_t offset) { return places_[dense() ? offset : rank(offset)]; }
  void insert_place(std::size_t offset);
  void make_room();
  void pack();
  void set_threshold();
  void free_places();

  std::array<std::atomic<std::uint64_t>, words> live_{};
  // How many bits of `live_` are set; above: if fewer are left than that, take() says so.
  std::atomic<std::uint32_t> tally_{1U << threshold_shift};

  alignas(64) Entry** places_ = nullptr;
  std::uint16_t placed_ = 0;   // Places in use.
  std::uint16_t room_ = 0;     // Of a packed chunk: places that it has memory for.
  std::uint16_t reached_ = 0;  // The highest offset that had an entry.
};

}  // namespace dhrt
