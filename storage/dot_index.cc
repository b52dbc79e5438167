#include "storage/dot_index.h"

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "storage/base/check.h"
#include "storage/base/fair_mutex.h"
#include "storage/dot_chunk.h"

namespace dhrt {

namespace {

constexpr std::uint64_t no_number = ~std::uint64_t{0};

std::uint64_t number_of(std::uint64_t sequence) {
  return sequence / DotChunk::sequences;
}

std::size_t offset_of(std::uint64_t sequence) {
  return sequence % DotChunk::sequences;
}

// Where a chunk is, by its number.
class Slot {
 public:
  // Without the lock: null if it is not there. Only while the chunk has an entry that the caller
  // is about to take out: then its number cannot go and come back between the two looks.
  DotChunk* find(std::uint64_t number) const {
    if (number_.load(std::memory_order_acquire) != number) return nullptr;
    DotChunk* const chunk = chunk_.load(std::memory_order_acquire);
    return number_.load(std::memory_order_relaxed) == number ? chunk : nullptr;
  }

  // With the lock.
  DotChunk* get() const { return chunk_.load(std::memory_order_relaxed); }
  void set(std::uint64_t number, DotChunk* chunk) {
    number_.store(no_number, std::memory_order_relaxed);
    chunk_.store(chunk, std::memory_order_release);
    number_.store(number, std::memory_order_release);
  }
  DotChunk* take() {
    DotChunk* const chunk = get();
    set(no_number, nullptr);
    return chunk;
  }

 private:
  std::atomic<std::uint64_t> number_{no_number};
  std::atomic<DotChunk*> chunk_{nullptr};
};

// Chunks whose numbers follow each other, each at its number modulo the size.
struct Ring {
  explicit Ring(std::size_t size) : mask(size - 1), slots(std::make_unique<Slot[]>(size)) {}
  std::size_t size() const { return mask + 1; }
  Slot& operator[](std::uint64_t number) const { return slots[number & mask]; }

  std::size_t mask;
  std::unique_ptr<Slot[]> slots;
};

}  // namespace

// Nearly all chunks are in a ring that begins with the oldest one and is found into without
// searching. When few of those in it are left, the oldest move to a map.
//
// Who takes an entry out clears its bit first and looks then whether somebody visits; who visits
// says so first and looks at the bits then. So one of the two sees the other: either the entry is
// not shown, or who took it out waits until the visit is over.
struct alignas(64) DotIndex::OfOrigin {
  mutable FairMutex lock;
  std::size_t in_ring = 0;
  // For who does not have the lock.
  std::atomic<std::size_t> chunks{0};
  std::atomic<std::size_t> bytes{sizeof(OfOrigin)};

  // Apart from what an add writes: each remove reads it.
  alignas(64) std::atomic<const Ring*> ring{nullptr};
  mutable std::atomic<bool> visited{false};
  std::vector<std::unique_ptr<Ring>>
      rings;                // The last one is in use; somebody may read the others.
  std::uint64_t first = 0;  // The ring has the numbers from here on.
  std::map<std::uint64_t, DotChunk*> older;  // By number, all below `first`.

  static constexpr std::size_t ring_size_min = 8;

  OfOrigin() = default;
  OfOrigin(const OfOrigin&) = delete;
  OfOrigin& operator=(const OfOrigin&) = delete;
  ~OfOrigin() {
    for (std::size_t i = 0; !rings.empty() && i < current().size(); ++i)
      delete current()[i].get();
    for (const auto& [number, chunk] : older)
      delete chunk;
  }

  static void count(std::atomic<std::size_t>& figure, std::size_t added, std::size_t taken) {
    if (added != taken)
      figure.store(figure.load(std::memory_order_relaxed) + added - taken,
                   std::memory_order_release);
  }

  Ring& current() const { return *rings.back(); }
  bool is_in_ring(std::uint64_t number) const {
    return !rings.empty() && number - first < current().size();
  }

  DotChunk* find(std::uint64_t number) const {
    if (is_in_ring(number)) return current()[number].get();
    const auto found = older.find(number);
    return found == older.end() ? nullptr : found->second;
  }

  // Each ring is twice as large as the one before, which stays as it is.
  void grow() {
    auto made = std::make_unique<Ring>(rings.empty() ? ring_size_min : 2 * current().size());
    for (std::size_t i = 0; !rings.empty() && i < current().size(); ++i) {
      if (DotChunk* const chunk = current()[first + i].get(); chunk != nullptr)
        (*made)[first + i].set(first + i, chunk);
    }
    count(bytes, made->size() * sizeof(Slot), 0);
    rings.push_back(std::move(made));
    ring.store(rings.back().get(), std::memory_order_release);
  }

  void move_to_older(std::uint64_t number) {
    DotChunk* const chunk = current()[number].take();
    if (chunk == nullptr) return;
    older[number] = chunk;
    count(bytes, older_bytes, 0);
    --in_ring;
  }

  // Makes the ring reach up to a number that is behind it.
  void reach(std::uint64_t number) {
    if (rings.empty()) grow();
    while (in_ring > 0 && current()[first].get() == nullptr)
      ++first;
    if (in_ring == 0) first = number;
    if (number - first >= current().size() && in_ring * 4 >= current().size()) grow();
    if (number - first < current().size()) return;
    const std::uint64_t new_first = number - current().size() + 1;
    for (std::size_t i = 0; i < current().size() && first + i < new_first; ++i)
      move_to_older(first + i);
    first = new_first;
  }

  DotChunk& chunk_for(std::uint64_t number) {
    if (!is_in_ring(number)) {
      if (in_ring == 0 && older.empty()) first = number;
      if (rings.empty() || number >= first) reach(number);
    }
    if (DotChunk* const found = find(number)) return *found;
    auto made = std::make_unique<DotChunk>();
    if (is_in_ring(number)) {
      ++in_ring;
      // Its sequences come one after the other, as those before them did.
      const DotChunk* const before = number > first ? current()[number - 1].get() : nullptr;
      if (before != nullptr && before->is_well_filled()) made->become_dense();
      current()[number].set(number, made.get());
    } else {
      older[number] = made.get();
      count(bytes, older_bytes, 0);
    }
    count(bytes, made->bytes(), 0);
    count(chunks, 1, 0);
    return *made.release();
  }

  bool add(Entry& entry) {
    const std::uint64_t sequence = entry.dot().sequence;
    DotChunk& chunk = chunk_for(number_of(sequence));
    const std::size_t before = chunk.bytes();
    const bool added = chunk.add(offset_of(sequence), entry);
    count(bytes, chunk.bytes(), before);
    return added;
  }

  void remove(std::uint64_t sequence) {
    const std::uint64_t number = number_of(sequence);
    if (DotChunk* const chunk = find_unlocked(number); chunk != nullptr) {
      const bool untidy = chunk->take(offset_of(sequence));
      if (!untidy && !visited.load()) return;
      const std::lock_guard guard(lock);
      if (untidy) tidy(number);
      return;
    }
    const std::lock_guard guard(lock);
    remove_locked(sequence);
  }

  void remove_locked(std::uint64_t sequence) {
    DotChunk* const chunk = find(number_of(sequence));
    check(chunk != nullptr, "who takes an entry out of an index added it");
    if (chunk->take(offset_of(sequence))) tidy(number_of(sequence));
  }

  DotChunk* find_unlocked(std::uint64_t number) const {
    const Ring* const now = ring.load(std::memory_order_acquire);
    return now == nullptr ? nullptr : (*now)[number].find(number);
  }

  // Somebody else may have been here since it was found to be due.
  void tidy(std::uint64_t number) {
    DotChunk* const chunk = find(number);
    if (chunk == nullptr) return;
    const std::size_t before = chunk->bytes();
    if (chunk->left() > 0) {
      chunk->tidy();
      count(bytes, chunk->bytes(), before);
      return;
    }
    if (is_in_ring(number)) {
      current()[number].take();
      --in_ring;
    } else {
      older.erase(number);
      count(bytes, 0, older_bytes);
    }
    count(bytes, 0, before);
    count(chunks, 0, 1);
    delete chunk;
  }

  void visit(std::uint64_t sequence, FunctionRef<bool(Entry&)> visit_entry) const {
    const std::lock_guard guard(lock);
    visited.store(true);
    visit_locked(sequence, visit_entry);
    visited.store(false);
  }

  void visit_locked(std::uint64_t sequence, FunctionRef<bool(Entry&)> visit_entry) const {
    const std::uint64_t number = number_of(sequence);
    const auto from = [&](std::uint64_t at) { return at == number ? offset_of(sequence) : 0; };
    for (auto at = older.lower_bound(number); at != older.end(); ++at) {
      if (!at->second->visit(from(at->first), visit_entry)) return;
    }
    if (rings.empty()) return;
    for (std::uint64_t i = number > first ? number - first : 0; i < current().size(); ++i) {
      const DotChunk* const chunk = current()[first + i].get();
      if (chunk != nullptr && !chunk->visit(from(first + i), visit_entry)) return;
    }
  }

  std::size_t entries() const {
    const std::lock_guard guard(lock);
    std::size_t all = 0;
    for (const auto& [number, chunk] : older)
      all += chunk->left();
    for (std::size_t i = 0; !rings.empty() && i < current().size(); ++i) {
      const DotChunk* const chunk = current()[i].get();
      all += chunk == nullptr ? 0 : chunk->left();
    }
    return all;
  }

 private:
  // What the map itself needs for a chunk.
  static constexpr std::size_t older_bytes = 64;
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

bool DotIndex::add(Entry& entry) {
  OfOrigin& origin = parts_->find_or_make(entry.dot().origin);
  const std::lock_guard lock(origin.lock);
  return origin.add(entry);
}

void DotIndex::remove(const Entry& entry) {
  const AliasDot dot = entry.dot();
  parts_->find(dot.origin)->remove(dot.sequence);
}

bool DotIndex::move(Entry& entry, const AliasDot& to, FunctionRef<void()> make) {
  const AliasDot from = entry.dot();
  OfOrigin& origin = parts_->find_or_make(to.origin);
  if (from.origin != to.origin) parts_->find(from.origin)->remove(from.sequence);
  const std::lock_guard lock(origin.lock);
  if (from.origin == to.origin) origin.remove_locked(from.sequence);
  make();
  return origin.add(entry);
}

void DotIndex::exchange(const Entry& there, Entry& entry) {
  const AliasDot dot = entry.dot();
  check(dot == there.dot(), "entries change places under one dot");
  OfOrigin& origin = *parts_->find(dot.origin);
  const std::lock_guard lock(origin.lock);
  origin.find(number_of(dot.sequence))->exchange(offset_of(dot.sequence), entry);
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
  of->visit(sequence, visit_entry);
}

void DotIndex::let_others_in(OriginAlias origin) const {
  if (const OfOrigin* const of = parts_->find(origin)) of->lock.let_others_in();
}

std::size_t DotIndex::size() const {
  return parts_->sum([](const OfOrigin& of) { return of.entries(); });
}

bool DotIndex::empty() const {
  return parts_->sum([](const OfOrigin& of) { return of.chunks.load(); }) == 0;
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
