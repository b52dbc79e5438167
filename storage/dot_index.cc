#include "storage/dot_index.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "storage/base/check.h"

namespace dhrt {

namespace {

constexpr std::size_t chunk_sequences = 512;
// A chunk is dense from so many entries on, and until it has fewer than that.
constexpr std::size_t dense_from = 192;
constexpr std::size_t dense_until = chunk_sequences / 4;
// While a chunk is being filled it stays dense. It is filled when it has an entry from here on.
constexpr std::size_t filled_from = chunk_sequences - 32;

// The usual processor's instruction for it is not one that every x86-64 has.
std::size_t bits_in(std::uint64_t word) {
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  word -= word >> 1 & ones / 3;
  word = (word & ones / 15 * 3) + (word >> 2 & ones / 15 * 3);
  word = (word + (word >> 4)) & ones / 255 * 15;
  return static_cast<std::size_t>(word * (ones / 255) >> 56);
}

// The entries of 512 sequences that follow each other. Dense: a place for each of them. Packed:
// only sequences that have or had an entry have a place; a place is null when its entry went, until
// there are too many such places.
class Chunk {
 public:
  bool empty() const { return live_ == 0; }
  bool dense() const { return places_ == chunk_sequences; }
  std::size_t bytes() const {
    if (places() == nullptr) return 0;
    return dense() ? dense_bytes : packed_bytes(room_);
  }

  // False if another entry was under this offset.
  bool add(std::size_t offset, Entry& entry) {
    reached_ = std::max(reached_, static_cast<std::uint16_t>(offset));
    if (!dense() && live_ >= dense_from) become_dense();
    if (dense()) return fill(places()[offset], entry);
    if (places() != nullptr && has(offset)) return fill(places()[rank(offset)], entry);
    if (places_ == room_) make_room();
    const std::size_t at = rank(offset);
    Entry** const begin = places();
    std::copy_backward(begin + at, begin + places_, begin + places_ + 1);
    begin[at] = &entry;
    bits()[offset / 64] |= std::uint64_t{1} << (offset % 64);
    ++places_;
    ++live_;
    return true;
  }

  // False if it is not this entry that is there.
  bool remove(std::size_t offset, const Entry& entry) {
    if (places() == nullptr || (!dense() && !has(offset))) return false;
    Entry*& place = places()[dense() ? offset : rank(offset)];
    if (place != &entry) return false;
    place = nullptr;
    --live_;
    if (live_ == 0) {
      release();
    } else if (dense() ? live_ < dense_until && reached_ >= filled_from
                       : live_ * 3 + 8 < places_ * 2) {
      pack();
    }
    return true;
  }

  // Shows entries from an offset on, until `visit_entry` says false; true if it never did.
  bool visit(std::size_t offset, FunctionRef<bool(Entry&)> visit_entry) const {
    if (places() == nullptr) return true;
    for (std::size_t i = dense() ? offset : rank(offset); i < places_; ++i) {
      if (Entry* const entry = places()[i]; entry != nullptr && !visit_entry(*entry)) return false;
    }
    return true;
  }

  bool is_well_filled() const { return live_ >= dense_from; }
  // Also for a chunk that is empty, and likely to be filled.
  void become_dense() {
    auto** const begin = static_cast<Entry**>(std::calloc(chunk_sequences, sizeof(Entry*)));
    check(begin != nullptr, "the system has memory for an index");
    each([&](std::size_t offset, Entry* entry) { begin[offset] = entry; });
    free_memory();
    set(begin);
    places_ = chunk_sequences;
  }

  void release() {
    free_memory();
    memory_.store(nullptr, std::memory_order_relaxed);
    places_ = live_ = room_ = reached_ = 0;
  }

  // Leaves the other one empty.
  void take(Chunk& other) {
    memory_.store(other.places(), std::memory_order_relaxed);
    places_ = std::exchange(other.places_, std::uint16_t{0});
    live_ = std::exchange(other.live_, std::uint16_t{0});
    room_ = std::exchange(other.room_, std::uint16_t{0});
    reached_ = std::exchange(other.reached_, std::uint16_t{0});
    other.memory_.store(nullptr, std::memory_order_relaxed);
  }

  // Without the lock.
  void prefetch(std::size_t offset) const {
    if (const Entry* const* begin = places(); begin != nullptr)
      __builtin_prefetch(begin + offset, 1);
  }

 private:
  // A packed chunk has a bitmap of the offsets that have a place, in front of the places.
  static constexpr std::size_t bit_words = chunk_sequences / 64;
  static constexpr std::size_t dense_bytes = chunk_sequences * sizeof(Entry*);
  static std::size_t packed_bytes(std::size_t room) {
    return bit_words * sizeof(std::uint64_t) + room * sizeof(Entry*);
  }

  Entry** places() const { return memory_.load(std::memory_order_relaxed); }
  std::uint64_t* bits() const { return reinterpret_cast<std::uint64_t*>(places()) - bit_words; }
  void set(Entry** places) { memory_.store(places, std::memory_order_relaxed); }
  void free_memory() {
    if (places() == nullptr) return;
    std::free(dense() ? static_cast<void*>(places()) : static_cast<void*>(bits()));
  }

  bool has(std::size_t offset) const { return (bits()[offset / 64] >> (offset % 64) & 1) != 0; }
  // Of a packed chunk: how many places are below the offset's.
  std::size_t rank(std::size_t offset) const {
    const std::uint64_t* const words = bits();
    std::size_t below = 0;
    for (std::size_t word = 0; word < offset / 64; ++word)
      below += bits_in(words[word]);
    if (offset % 64 == 0) return below;
    return below + bits_in(words[offset / 64] << (64 - offset % 64));
  }

  bool fill(Entry*& place, Entry& entry) {
    const bool fresh = place == nullptr;
    place = &entry;
    live_ = static_cast<std::uint16_t>(live_ + fresh);
    return fresh;
  }

  void make_room() {
    const std::size_t room = std::min(
        chunk_sequences, room_ < 16 ? room_ + std::size_t{4} : room_ + room_ / std::size_t{2});
    void* const before = places() == nullptr ? nullptr : bits();
    auto* const words = static_cast<std::uint64_t*>(std::realloc(before, packed_bytes(room)));
    check(words != nullptr, "the system has memory for an index");
    if (before == nullptr) std::fill_n(words, bit_words, std::uint64_t{0});
    set(reinterpret_cast<Entry**>(words + bit_words));
    room_ = static_cast<std::uint16_t>(room);
  }

  // Shows each offset that has an entry, and the entry.
  template <typename Show>
  void each(Show show) const {
    for (std::size_t offset = 0; dense() && offset < chunk_sequences; ++offset) {
      if (Entry* const entry = places()[offset]; entry != nullptr) show(offset, entry);
    }
    if (dense() || places() == nullptr) return;
    Entry* const* at = places();
    for (std::size_t word = 0; word < bit_words; ++word) {
      for (std::uint64_t left = bits()[word]; left != 0; left &= left - 1, ++at) {
        const std::size_t offset = 64 * word + static_cast<std::size_t>(std::countr_zero(left));
        if (*at != nullptr) show(offset, *at);
      }
    }
  }

  // Only entries keep their places.
  void pack() {
    auto* const words = static_cast<std::uint64_t*>(std::calloc(1, packed_bytes(live_)));
    check(words != nullptr, "the system has memory for an index");
    auto** const begin = reinterpret_cast<Entry**>(words + bit_words);
    Entry** at = begin;
    each([&](std::size_t offset, Entry* entry) {
      words[offset / 64] |= std::uint64_t{1} << (offset % 64);
      *at++ = entry;
    });
    free_memory();
    set(begin);
    places_ = room_ = live_;
  }

  // Atomic only for prefetch().
  std::atomic<Entry**> memory_{nullptr};
  std::uint16_t places_ = 0;
  std::uint16_t live_ = 0;     // Places that are not null.
  std::uint16_t room_ = 0;     // Of a packed chunk: places that it has memory for.
  std::uint16_t reached_ = 0;  // The highest offset that had an entry.
};

// Chunks whose numbers follow each other, each at its number modulo the size.
struct Ring {
  explicit Ring(std::size_t size) : mask(size - 1), chunks(std::make_unique<Chunk[]>(size)) {}
  std::size_t size() const { return mask + 1; }
  Chunk& operator[](std::uint64_t number) const { return chunks[number & mask]; }

  std::size_t mask;
  std::unique_ptr<Chunk[]> chunks;
};

}  // namespace

// Nearly all chunks are in a ring that begins with the oldest one and is found into without
// searching. When few of those in it are left, the oldest move to a map.
//
// A loop adds to its own origin and takes out of the others': what each of these writes stands in
// one cache line with the lock, what they only read in the next.
struct alignas(64) DotIndex::OfOrigin {
  mutable std::mutex lock;
  std::size_t in_ring = 0;  // Chunks that are not empty.
  // For who does not have the lock.
  std::atomic<std::size_t> entries{0};
  std::atomic<std::size_t> bytes{sizeof(OfOrigin)};

  alignas(64) std::atomic<const Ring*> ring{nullptr};
  std::vector<std::unique_ptr<Ring>> rings;  // The last one is in use; see prefetch().
  std::uint64_t first = 0;                   // The ring has the numbers from here on.
  std::map<std::uint64_t, Chunk> older;      // By number, all below `first`, none empty.

  static constexpr std::size_t ring_size_min = 8;

  OfOrigin() = default;
  OfOrigin(const OfOrigin&) = delete;
  OfOrigin& operator=(const OfOrigin&) = delete;
  ~OfOrigin() {
    for (std::size_t i = 0; !rings.empty() && i < rings.back()->size(); ++i)
      (*rings.back())[i].release();
    for (auto& [number, chunk] : older)
      chunk.release();
  }

  static void count(std::atomic<std::size_t>& figure, std::size_t added, std::size_t taken) {
    if (added != taken)
      figure.store(figure.load(std::memory_order_relaxed) + added - taken,
                   std::memory_order_relaxed);
  }

  Ring& current() const { return *rings.back(); }
  bool is_in_ring(std::uint64_t number) const {
    return !rings.empty() && number - first < current().size();
  }

  // Each ring is twice as large as the one before, which is kept for who prefetches.
  void grow() {
    auto made = std::make_unique<Ring>(rings.empty() ? ring_size_min : 2 * current().size());
    for (std::size_t i = 0; !rings.empty() && i < current().size(); ++i)
      (*made)[first + i].take(current()[first + i]);
    count(bytes, made->size() * sizeof(Chunk), 0);
    rings.push_back(std::move(made));
    ring.store(rings.back().get(), std::memory_order_release);
  }

  void move_to_older(std::uint64_t number) {
    Chunk& chunk = current()[number];
    if (chunk.empty()) return;
    older[number].take(chunk);
    count(bytes, older_bytes, 0);
    --in_ring;
  }

  // Makes the ring reach up to a number that is behind it.
  void reach(std::uint64_t number) {
    if (rings.empty()) grow();
    while (in_ring > 0 && current()[first].empty())
      ++first;
    if (in_ring == 0) first = number;
    if (number - first >= current().size() && in_ring * 4 >= current().size()) grow();
    if (number - first < current().size()) return;
    const std::uint64_t new_first = number - current().size() + 1;
    for (std::size_t i = 0; i < current().size() && first + i < new_first; ++i)
      move_to_older(first + i);
    first = new_first;
  }

  Chunk& chunk_for(std::uint64_t number) {
    if (!is_in_ring(number)) {
      if (in_ring == 0 && older.empty()) first = number;
      if (!rings.empty() && number < first) {
        if (!older.contains(number)) count(bytes, older_bytes, 0);
        return older[number];
      }
      reach(number);
    }
    Chunk& chunk = current()[number];
    if (!chunk.empty()) return chunk;
    ++in_ring;
    // Its sequences come one after the other, as those before them did.
    if (number > first && current()[number - 1].is_well_filled()) {
      chunk.become_dense();
      count(bytes, chunk.bytes(), 0);
    }
    return chunk;
  }

  void add(Entry& entry) {
    const std::uint64_t sequence = entry.dot().sequence;
    Chunk& chunk = chunk_for(sequence / chunk_sequences);
    const std::size_t before = chunk.bytes();
    if (chunk.add(sequence % chunk_sequences, entry)) count(entries, 1, 0);
    count(bytes, chunk.bytes(), before);
  }

  void remove(const Entry& entry) {
    const std::uint64_t sequence = entry.dot().sequence;
    const std::uint64_t number = sequence / chunk_sequences;
    const bool in = is_in_ring(number);
    const auto old = in ? older.end() : older.find(number);
    if (!in && old == older.end()) return;
    Chunk& chunk = in ? current()[number] : old->second;
    const std::size_t before = chunk.bytes();
    if (!chunk.remove(sequence % chunk_sequences, entry)) return;
    count(entries, 0, 1);
    count(bytes, chunk.bytes(), before);
    if (!chunk.empty()) return;
    if (in) {
      --in_ring;
    } else {
      older.erase(old);
      count(bytes, 0, older_bytes);
    }
  }

  void visit(std::uint64_t sequence, FunctionRef<bool(Entry&)> visit_entry) const {
    const std::uint64_t number = sequence / chunk_sequences;
    const std::size_t offset = sequence % chunk_sequences;
    for (auto at = older.lower_bound(number); at != older.end(); ++at) {
      if (!at->second.visit(at->first == number ? offset : 0, visit_entry)) return;
    }
    if (rings.empty()) return;
    for (std::uint64_t i = number > first ? number - first : 0; i < current().size(); ++i) {
      if (!current()[first + i].visit(first + i == number ? offset : 0, visit_entry)) return;
    }
  }

  // Without the lock: rings are never freed, and an address that is wrong does no harm.
  void prefetch(std::uint64_t sequence) const {
    const Ring* const now = ring.load(std::memory_order_acquire);
    if (now != nullptr) (*now)[sequence / chunk_sequences].prefetch(sequence % chunk_sequences);
  }

 private:
  // What a chunk takes in the map, with what the map itself needs.
  static constexpr std::size_t older_bytes = 80;
};

// Origins by alias, in two steps, so that few aliases cost little and nobody waits for one that is
// made: what is there never moves.
struct DotIndex::Parts {
  static constexpr std::size_t fan_out = 256;
  struct Group {
    std::array<std::atomic<OfOrigin*>, fan_out> origins{};
  };
  std::array<std::atomic<Group*>, fan_out> groups{};
  std::atomic<std::size_t> origins{0};
  std::mutex making;

  ~Parts() {
    for (auto& group : groups) {
      if (group.load() == nullptr) continue;
      for (auto& origin : group.load()->origins)
        delete origin.load();
      delete group.load();
    }
  }

  OfOrigin* find(OriginAlias alias) const {
    const Group* const group = groups[alias / fan_out].load(std::memory_order_acquire);
    if (group == nullptr) return nullptr;
    return group->origins[alias % fan_out].load(std::memory_order_acquire);
  }

  OfOrigin& find_or_make(OriginAlias alias) {
    if (OfOrigin* const found = find(alias); found != nullptr) return *found;
    const std::lock_guard lock(making);
    auto& group = groups[alias / fan_out];
    if (group.load() == nullptr) group.store(new Group, std::memory_order_release);
    auto& origin = group.load()->origins[alias % fan_out];
    if (origin.load() == nullptr) origin.store(new OfOrigin, std::memory_order_release);
    if (alias >= origins.load()) origins.store(std::size_t{alias} + 1);
    return *origin.load();
  }

  template <typename Figure>
  std::size_t sum(Figure figure) const {
    std::size_t all = 0;
    for (const auto& slot : groups) {
      const Group* const group = slot.load(std::memory_order_acquire);
      if (group == nullptr) continue;
      for (const auto& of : group->origins) {
        const OfOrigin* const origin = of.load(std::memory_order_acquire);
        if (origin != nullptr) all += figure(*origin);
      }
    }
    return all;
  }
};

DotIndex::DotIndex() : parts_(std::make_unique<Parts>()) {}
DotIndex::~DotIndex() = default;

void DotIndex::add(Entry& entry) {
  OfOrigin& origin = parts_->find_or_make(entry.dot().origin);
  const std::lock_guard lock(origin.lock);
  origin.add(entry);
}

void DotIndex::remove(const Entry& entry) {
  OfOrigin* const origin = parts_->find(entry.dot().origin);
  if (origin == nullptr) return;
  const std::lock_guard lock(origin->lock);
  origin->remove(entry);
}

void DotIndex::replace(const Entry& replaced, Entry& entry) {
  const OriginAlias alias = entry.dot().origin;
  if (replaced.dot().origin != alias) {
    remove(replaced);
    add(entry);
    return;
  }
  OfOrigin& origin = parts_->find_or_make(alias);
  const std::lock_guard lock(origin.lock);
  origin.remove(replaced);
  origin.add(entry);
}

void DotIndex::prefetch(const Entry& entry) const {
  const AliasDot dot = entry.dot();
  if (const OfOrigin* const origin = parts_->find(dot.origin)) origin->prefetch(dot.sequence);
}

bool DotIndex::seek(OriginAlias origin, std::uint64_t sequence,
                    FunctionRef<void(Entry&)> show) const {
  bool found = false;
  visit(origin, sequence, [&](Entry& entry) {
    found = true;
    show(entry);
    return false;
  });
  return found;
}

void DotIndex::visit(OriginAlias origin, std::uint64_t sequence,
                     FunctionRef<bool(Entry&)> visit_entry) const {
  const OfOrigin* const of = parts_->find(origin);
  if (of == nullptr) return;
  const std::lock_guard lock(of->lock);
  of->visit(sequence, visit_entry);
}

std::size_t DotIndex::size() const {
  return parts_->sum([](const OfOrigin& of) { return of.entries.load(std::memory_order_relaxed); });
}

std::size_t DotIndex::bytes() const {
  const std::size_t of_origins =
      parts_->sum([](const OfOrigin& of) { return of.bytes.load(std::memory_order_relaxed); });
  return sizeof(Parts) + of_origins;
}

std::size_t DotIndex::origins() const {
  return parts_->origins.load();
}

}  // namespace dhrt
