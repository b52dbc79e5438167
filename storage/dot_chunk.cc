#include "storage/dot_chunk.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "storage/base/check.h"

namespace dhrt {

namespace {

// The usual processor's instruction for it is not one that every x86-64 has.
std::size_t bits_in(std::uint64_t word) {
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  word -= word >> 1 & ones / 3;
  word = (word & ones / 15 * 3) + (word >> 2 & ones / 15 * 3);
  word = (word + (word >> 4)) & ones / 255 * 15;
  return static_cast<std::size_t>(word * (ones / 255) >> 56);
}

}  // namespace

DotChunk::~DotChunk() {
  free_places();
}

void DotChunk::free_places() {
  if (places_ == nullptr) return;
  std::free(dense() ? static_cast<void*>(places_) : static_cast<void*>(bits()));
}

std::size_t DotChunk::bytes() const {
  if (places_ == nullptr) return sizeof(DotChunk);
  return sizeof(DotChunk) + (dense() ? sequences * sizeof(Entry*) : packed_bytes(room_));
}

bool DotChunk::has_place(std::size_t offset) const {
  if (places_ == nullptr) return false;
  return dense() || (bits()[offset / 64] & bit_of(offset)) != 0;
}

// Of a packed chunk: how many places are below the offset's.
std::size_t DotChunk::rank(std::size_t offset) const {
  const std::uint64_t* const placed = bits();
  std::size_t below = 0;
  for (std::size_t word = 0; word < offset / 64; ++word)
    below += bits_in(placed[word]);
  return below + bits_in(placed[offset / 64] & (bit_of(offset) - 1));
}

bool DotChunk::add(std::size_t offset, Entry& entry) {
  if ((live_[offset / 64].load() & bit_of(offset)) != 0) return false;
  const bool was_filled = reached_ >= filled_from;
  reached_ = std::max(reached_, static_cast<std::uint16_t>(offset));
  if (!dense() && is_well_filled()) become_dense();
  if (!has_place(offset)) {
    insert_place(offset);
  } else if (was_filled != (reached_ >= filled_from)) {
    set_threshold();
  }
  place_of(offset) = &entry;
  // The number first: it is never below that of the bits.
  tally_.fetch_add(1);
  live_[offset / 64].fetch_or(bit_of(offset));
  return true;
}

void DotChunk::exchange(std::size_t offset, Entry& entry) {
  place_of(offset) = &entry;
}

void DotChunk::insert_place(std::size_t offset) {
  if (placed_ == room_) make_room();
  const std::size_t at = rank(offset);
  std::copy_backward(places_ + at, places_ + placed_, places_ + placed_ + 1);
  bits()[offset / 64] |= bit_of(offset);
  ++placed_;
  set_threshold();
}

void DotChunk::make_room() {
  const std::size_t room =
      std::min(sequences - 1, room_ < 16 ? room_ + std::size_t{4} : room_ + room_ / std::size_t{2});
  void* const before = places_ == nullptr ? nullptr : bits();
  auto* const memory = static_cast<std::uint64_t*>(std::realloc(before, packed_bytes(room)));
  check(memory != nullptr, "the system has memory for an index");
  if (before == nullptr) std::fill_n(memory, words, std::uint64_t{0});
  places_ = reinterpret_cast<Entry**>(memory + words);
  room_ = static_cast<std::uint16_t>(room);
}

void DotChunk::become_dense() {
  auto** const places = static_cast<Entry**>(std::calloc(sequences, sizeof(Entry*)));
  check(places != nullptr, "the system has memory for an index");
  Entry* const* from = places_;
  for (std::size_t word = 0; places_ != nullptr && word < words; ++word) {
    for (std::uint64_t at = bits()[word]; at != 0; at &= at - 1)
      places[64 * word + static_cast<std::size_t>(std::countr_zero(at))] = *from++;
  }
  free_places();
  places_ = places;
  placed_ = sequences;
  room_ = 0;
  set_threshold();
}

void DotChunk::tidy() {
  const std::uint32_t tally = tally_.load();
  if ((tally & count_bits) < tally >> threshold_shift) pack();
}

// Entries that go meanwhile keep their places.
void DotChunk::pack() {
  std::array<std::uint64_t, words> live{};
  std::size_t places = 0;
  for (std::size_t word = 0; word < words; ++word) {
    live[word] = live_[word].load();
    places += bits_in(live[word]);
  }
  auto* const memory = static_cast<std::uint64_t*>(std::malloc(packed_bytes(places)));
  check(memory != nullptr, "the system has memory for an index");
  auto** const packed = reinterpret_cast<Entry**>(memory + words);
  Entry** to = packed;
  for (std::size_t word = 0; word < words; ++word) {
    memory[word] = live[word];
    for (std::uint64_t left = live[word]; left != 0; left &= left - 1)
      *to++ = place_of(64 * word + static_cast<std::size_t>(std::countr_zero(left)));
  }
  free_places();
  places_ = packed;
  placed_ = room_ = static_cast<std::uint16_t>(places);
  set_threshold();
}

// A dense chunk is packed when a quarter is left of it, and a packed one when less than two thirds
// of its places are of use; any is to go when nothing is left.
void DotChunk::set_threshold() {
  std::uint32_t threshold = 1;
  if (dense()) {
    if (reached_ >= filled_from) threshold = dense_until;
  } else if (placed_ > 4) {
    threshold = (2U * placed_ - 6) / 3;
  }
  const std::uint32_t before = tally_.load() >> threshold_shift;
  tally_.fetch_add((threshold - before) << threshold_shift);
}

bool DotChunk::visit(std::size_t offset, FunctionRef<bool(Entry&)> visit_entry) const {
  if (places_ == nullptr) return true;
  std::size_t place = dense() ? 0 : rank(offset);
  std::uint64_t mask = ~(bit_of(offset) - 1);
  for (std::size_t word = offset / 64; word < words; ++word, mask = ~std::uint64_t{0}) {
    const std::uint64_t live = live_[word].load();
    for (std::uint64_t at = (dense() ? live : bits()[word]) & mask; at != 0; at &= at - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(at));
      Entry* const entry = places_[dense() ? 64 * word + bit : place++];
      if ((live >> bit & 1) != 0 && !visit_entry(*entry)) return false;
    }
  }
  return true;
}

}  // namespace dhrt
