#include "storage/dot_index.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "storage/base/check.h"

namespace dhrt {

namespace {

constexpr std::size_t chunk_sequences = 512;

// The entries of 512 sequences that follow each other. Only sequences that have or had an entry
// have a place; a place is null when its entry went, until there are too many such places.
class Chunk {
 public:
  explicit Chunk(std::uint64_t number) : number_(number) {}

  std::uint64_t number() const { return number_; }  // Sequence / 512.
  bool empty() const { return live_ == 0; }
  std::size_t bytes() const { return block_ == nullptr ? 0 : bytes_for(room_); }

  // False if another entry was under this offset.
  bool add(std::size_t offset, Entry& entry) {
    if (block_ != nullptr && has(offset)) {
      Entry*& place = places()[rank(offset)];
      const bool fresh = place == nullptr;
      place = &entry;
      live_ = static_cast<std::uint16_t>(live_ + fresh);
      return fresh;
    }
    if (count_ == room_) make_room();
    const std::size_t at = block_->ranks_below(offset);
    Entry** const begin = places();
    std::copy_backward(begin + at, begin + count_, begin + count_ + 1);
    begin[at] = &entry;
    block_->bits[offset / 64] |= std::uint64_t{1} << (offset % 64);
    ++count_;
    ++live_;
    return true;
  }

  // False if it is not this entry that is there.
  bool remove(std::size_t offset, const Entry& entry) {
    if (block_ == nullptr || (count_ < chunk_sequences && !has(offset))) return false;
    Entry*& place = places()[rank(offset)];
    if (place != &entry) return false;
    place = nullptr;
    --live_;
    if (live_ == 0) {
      release();
    } else if (live_ + live_ / 4 + 4 < count_) {
      pack();
    }
    return true;
  }

  // Shows entries from an offset on, until `visit_entry` says false; true if it never did.
  bool visit(std::size_t offset, FunctionRef<bool(Entry&)> visit_entry) const {
    if (block_ == nullptr) return true;
    for (std::size_t i = block_->ranks_below(offset); i < count_; ++i) {
      if (Entry* const entry = places()[i]; entry != nullptr && !visit_entry(*entry)) return false;
    }
    return true;
  }

  void release() {
    std::free(block_);
    block_ = nullptr;
    count_ = live_ = room_ = 0;
  }

 private:
  // Which offsets have a place; the places follow in their order.
  struct Block {
    std::array<std::uint64_t, chunk_sequences / 64> bits;

    std::size_t ranks_below(std::size_t offset) const {
      std::size_t below = 0;
      for (std::size_t word = 0; word < offset / 64; ++word)
        below += static_cast<std::size_t>(std::popcount(bits[word]));
      if (offset % 64 == 0) return below;
      return below +
             static_cast<std::size_t>(std::popcount(bits[offset / 64] << (64 - offset % 64)));
    }
  };

  static std::size_t bytes_for(std::size_t room) { return sizeof(Block) + room * sizeof(Entry*); }
  Entry** places() const { return reinterpret_cast<Entry**>(block_ + 1); }
  bool has(std::size_t offset) const {
    return (block_->bits[offset / 64] >> (offset % 64) & 1) != 0;
  }
  // A chunk without gaps, the usual one, need not count.
  std::size_t rank(std::size_t offset) const {
    return count_ == chunk_sequences ? offset : block_->ranks_below(offset);
  }

  void make_room() {
    const std::size_t room = std::min(
        chunk_sequences, room_ < 16 ? room_ + std::size_t{4} : room_ + room_ / std::size_t{2});
    resize(room);
  }

  void resize(std::size_t room) {
    const bool fresh = block_ == nullptr;
    block_ = static_cast<Block*>(std::realloc(block_, bytes_for(room)));
    check(block_ != nullptr, "the system has memory for an index");
    if (fresh) block_->bits = {};
    room_ = static_cast<std::uint16_t>(room);
  }

  // Only entries keep their places.
  void pack() {
    std::size_t from = 0;
    std::size_t to = 0;
    for (std::uint64_t& word : block_->bits) {
      for (std::uint64_t left = word; left != 0; left &= left - 1) {
        Entry* const entry = places()[from++];
        if (entry != nullptr) {
          places()[to++] = entry;
        } else {
          word &= ~(left & -left);
        }
      }
    }
    count_ = live_;
    resize(live_);
  }

  std::uint64_t number_;
  Block* block_ = nullptr;
  std::uint16_t count_ = 0;  // Places.
  std::uint16_t live_ = 0;   // Places that are not null.
  std::uint16_t room_ = 0;   // Places that the block has memory for.
};

}  // namespace

struct DotIndex::OfOrigin {
  mutable std::mutex lock;
  // By number. Those that became empty stay until they are half of all.
  std::vector<Chunk> chunks;
  std::size_t empty_chunks = 0;
  // For who does not have the lock.
  std::atomic<std::size_t> entries{0};
  std::atomic<std::size_t> bytes{sizeof(OfOrigin)};
  std::size_t bytes_of_chunks = 0;

  OfOrigin() = default;
  OfOrigin(const OfOrigin&) = delete;
  OfOrigin& operator=(const OfOrigin&) = delete;
  ~OfOrigin() {
    for (Chunk& chunk : chunks)
      chunk.release();
  }

  // The first chunk that is not below `number`.
  std::size_t find(std::uint64_t number) const {
    if (chunks.empty() || chunks.back().number() < number) return chunks.size();
    if (chunks.back().number() == number) return chunks.size() - 1;
    if (number <= chunks.front().number()) return 0;
    // Right where no chunk is missing.
    const std::uint64_t guess = number - chunks.front().number();
    if (guess < chunks.size() && chunks[guess].number() == number) return guess;
    const auto below = [&](const Chunk& chunk) { return chunk.number() < number; };
    const auto found = std::partition_point(chunks.begin(), chunks.end(), below);
    return static_cast<std::size_t>(found - chunks.begin());
  }

  // Applies `change` to a chunk and keeps the figures.
  template <typename Change>
  void with(Chunk& chunk, Change change) {
    const bool was_empty = chunk.empty();
    const std::size_t bytes_before = chunk.bytes();
    const int added = change(chunk);
    bytes_of_chunks += chunk.bytes() - bytes_before;
    entries.store(entries.load(std::memory_order_relaxed) + static_cast<std::size_t>(added),
                  std::memory_order_relaxed);
    if (was_empty && !chunk.empty()) --empty_chunks;
    if (!was_empty && chunk.empty()) ++empty_chunks;
    if (empty_chunks * 2 > chunks.size()) drop_empty();
    bytes.store(sizeof(OfOrigin) + bytes_of_chunks + chunks.capacity() * sizeof(Chunk),
                std::memory_order_relaxed);
  }

  void drop_empty() {
    std::erase_if(chunks, [](const Chunk& chunk) { return chunk.empty(); });
    if (chunks.capacity() > 2 * chunks.size() + 16) chunks.shrink_to_fit();
    empty_chunks = 0;
  }

  void add(Entry& entry) {
    const std::uint64_t sequence = entry.dot().sequence;
    const std::uint64_t number = sequence / chunk_sequences;
    const std::size_t at = find(number);
    if (at == chunks.size() || chunks[at].number() != number) {
      chunks.emplace(chunks.begin() + static_cast<std::ptrdiff_t>(at), number);
      ++empty_chunks;
    }
    with(chunks[at],
         [&](Chunk& chunk) { return chunk.add(sequence % chunk_sequences, entry) ? 1 : 0; });
  }

  void remove(const Entry& entry) {
    const std::uint64_t sequence = entry.dot().sequence;
    const std::size_t at = find(sequence / chunk_sequences);
    if (at == chunks.size() || chunks[at].number() != sequence / chunk_sequences) return;
    with(chunks[at],
         [&](Chunk& chunk) { return chunk.remove(sequence % chunk_sequences, entry) ? -1 : 0; });
  }

  void visit(std::uint64_t sequence, FunctionRef<bool(Entry&)> visit_entry) const {
    const std::uint64_t number = sequence / chunk_sequences;
    for (std::size_t i = find(number); i < chunks.size(); ++i) {
      const std::size_t from = chunks[i].number() == number ? sequence % chunk_sequences : 0;
      if (!chunks[i].visit(from, visit_entry)) return;
    }
  }
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
