// Pointers to entries in an order, in blocks of at most 256: a B+tree of two levels.
//
// Intuition: a block is short enough to be shifted at every insert, and blocks are few enough for
// one array of them. Nothing is kept but pointers: what an entry is ordered by is read from it.
//
// Bounds: 8 bytes per entry in a full block; blocks are full by 3/4 after a build, and by about
// 0.7 after many inserts. Threads: not synchronised.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "storage/entry.h"

namespace dhrt {

// `Before` says of two entries whether the left one stands before the right one.
template <typename Before>
class SortedBlocks {
 public:
  static constexpr std::size_t block_max = 256;

  // Takes the place of everything there is. The entries are in order.
  void assign(const std::vector<Entry*>& entries) {
    constexpr std::size_t full_enough = block_max * 3 / 4;
    blocks_.clear();
    size_ = entries.size();
    for (std::size_t begin = 0; begin < entries.size(); begin += full_enough) {
      auto block = std::make_unique<Block>();
      block->count = std::min(full_enough, entries.size() - begin);
      std::copy_n(entries.begin() + static_cast<std::ptrdiff_t>(begin), block->count,
                  block->entries.begin());
      blocks_.push_back(std::move(block));
    }
  }

  void insert(Entry& entry) {
    if (blocks_.empty()) blocks_.push_back(std::make_unique<Block>());
    Place place = lower_bound(entry);
    // At the end of one block rather than in front of the next: appending fills blocks.
    if (place.at == 0 && place.block > 0) place = {place.block - 1, count_of(place.block - 1)};
    if (count_of(place.block) == block_max) place = split(place);
    Block& block = *blocks_[place.block];
    const auto at = iterator_at(block, place.at);
    std::copy_backward(at, block.end(), block.end() + 1);
    *at = &entry;
    ++block.count;
    ++size_;
  }

  // False if it was not there.
  bool remove(const Entry& entry) {
    const Place place = lower_bound(entry);
    if (!holds(place, entry)) return false;
    Block& block = *blocks_[place.block];
    const auto at = iterator_at(block, place.at);
    std::copy(at + 1, block.end(), at);
    --block.count;
    --size_;
    shrink(place.block);
    return true;
  }

  // `next` stands where `old` stood. False if that was not there.
  bool replace(const Entry& old, Entry& next) {
    const Place place = lower_bound(old);
    if (!holds(place, old)) return false;
    blocks_[place.block]->entries[place.at] = &next;
    return true;
  }

  // Null: there is none.
  Entry* first() const { return blocks_.empty() ? nullptr : blocks_.front()->entries[0]; }

  // Entries in order, from the first for which `before` is false, until `visit` says false.
  template <typename BeforePlace, typename Visit>
  void visit_from(BeforePlace before, Visit visit) const {
    if (blocks_.empty()) return;
    for (Place place = first_not(before); place.block < blocks_.size();
         place = {place.block + 1, 0}) {
      const Block& block = *blocks_[place.block];
      for (std::size_t i = place.at; i < block.count; ++i) {
        constexpr std::size_t ahead = 8;
        if (i + ahead < block.count) __builtin_prefetch(block.entries[i + ahead]);
        if (!visit(*block.entries[i])) return;
      }
    }
  }

  std::size_t size() const { return size_; }
  std::size_t bytes() const {
    return blocks_.size() * sizeof(Block) + blocks_.capacity() * sizeof(blocks_[0]);
  }

 private:
  struct Block {
    std::size_t count = 0;
    std::array<Entry*, block_max> entries;

    auto end() { return entries.begin() + static_cast<std::ptrdiff_t>(count); }
  };
  struct Place {
    std::size_t block;
    std::size_t at;  // May be the count of the block, when it is the last one.
  };

  static auto iterator_at(Block& block, std::size_t at) {
    return block.entries.begin() + static_cast<std::ptrdiff_t>(at);
  }
  std::size_t count_of(std::size_t block) const { return blocks_[block]->count; }

  // The first place whose entry is not `before`; no block is empty, unless there is only one.
  template <typename BeforePlace>
  Place first_not(BeforePlace before) const {
    // The last block that begins before, or the first one.
    const auto begins_before = [&](const auto& block) {
      return block->count > 0 && before(*block->entries[0]);
    };
    const auto behind = std::partition_point(blocks_.begin(), blocks_.end(), begins_before);
    std::size_t block = static_cast<std::size_t>(behind - blocks_.begin());
    if (block > 0) --block;
    Block& in = *blocks_[block];
    const auto found = std::partition_point(in.entries.begin(), in.end(),
                                            [&](const Entry* entry) { return before(*entry); });
    const auto at = static_cast<std::size_t>(found - in.entries.begin());
    if (at == in.count && block + 1 < blocks_.size()) return {block + 1, 0};
    return {block, at};
  }

  Place lower_bound(const Entry& entry) const {
    if (blocks_.empty()) return {0, 0};
    return first_not([&](const Entry& other) { return Before()(other, entry); });
  }

  bool holds(Place place, const Entry& entry) const {
    return place.block < blocks_.size() && place.at < count_of(place.block) &&
           blocks_[place.block]->entries[place.at] == &entry;
  }

  // Makes room in a full block: behind its end when that is where the entry goes, so that entries
  // that come in order leave full blocks; in its middle otherwise.
  Place split(Place place) {
    const std::size_t kept = place.at == block_max ? block_max : block_max / 2;
    auto next = std::make_unique<Block>();
    Block& block = *blocks_[place.block];
    std::copy(iterator_at(block, kept), block.end(), next->entries.begin());
    next->count = block_max - kept;
    block.count = kept;
    blocks_.insert(blocks_.begin() + static_cast<std::ptrdiff_t>(place.block + 1), std::move(next));
    if (place.at < kept) return place;
    return {place.block + 1, place.at - kept};
  }

  // A block that became small joins a neighbour with room for both.
  void shrink(std::size_t block) {
    if (count_of(block) == 0) {
      erase(block);
    } else if (count_of(block) <= block_max / 4) {
      if (block + 1 < blocks_.size() && fits(block, block + 1)) {
        join(block);
      } else if (block > 0 && fits(block - 1, block)) {
        join(block - 1);
      }
    }
  }

  bool fits(std::size_t left, std::size_t right) const {
    return count_of(left) + count_of(right) <= block_max / 2;
  }

  void join(std::size_t left) {
    Block& into = *blocks_[left];
    Block& from = *blocks_[left + 1];
    std::copy(from.entries.begin(), from.end(), into.end());
    into.count += from.count;
    erase(left + 1);
  }

  void erase(std::size_t block) {
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(block));
  }

  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t size_ = 0;
};

}  // namespace dhrt
