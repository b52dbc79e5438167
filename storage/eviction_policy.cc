#include "storage/eviction_policy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <deque>
#include <vector>

#include "storage/base/random.h"

namespace dhrt {

void EvictionPolicy::added(Item item, Entry& entry, Find find) {
  if (entry.is(Entry::queued)) return;
  if (size() >= tidy_at_) {
    tidy(find);
    tidy_at_ = std::max(items_min, 2 * size());
  }
  entry.set(Entry::queued);
  entry.use(clock_);
  push(item);
}

bool EvictionPolicy::mark(Item item, Find find) {
  Entry* const entry = find(item);
  if (entry == nullptr || !entry->is(Entry::queued) || entry->is(Entry::marked)) return false;
  entry->set(Entry::marked);
  return true;
}

void EvictionPolicy::unmark(Item item, Find find) {
  if (Entry* const entry = find(item); entry != nullptr) entry->clear(Entry::marked);
}

namespace {

using Item = EvictionPolicy::Item;

// Which items were evicted lately. It may forget one early, or take one for another, rarely.
//
// Intuition: a bucket holds a few hashes with the time at which each came, and a new one takes the
// place of the oldest. Time goes on one step per 64th of the hashes that it is to remember.
class Ghosts {
 public:
  void add(Item item) {
    if (++since_step_ >= std::max<std::size_t>(1, wanted_ / steps)) {
      since_step_ = 0;
      ++now_;
    }
    Bucket& bucket = bucket_of(item);
    const auto oldest = std::ranges::max_element(
        bucket, {}, [&](const Ghost& ghost) { return ghost.mark == 0 ? 256u : age(ghost); });
    *oldest = {.mark = mark_of(item), .at = now_};
  }

  // True if it was there; it is not any more.
  bool take(Item item) {
    Bucket& bucket = bucket_of(item);
    for (Ghost& ghost : bucket) {
      if (ghost.mark != mark_of(item) || age(ghost) > steps) continue;
      ghost = {};
      return true;
    }
    return false;
  }

  // How many it is to remember.
  void resize(std::size_t count) {
    wanted_ = count;
    if (count <= buckets_.size() * ways) return;
    // Those of one bucket go to two, and are looked for in both of them: rather forget them all.
    buckets_.assign(std::bit_ceil(count) / ways, Bucket{});
  }

  std::size_t bytes() const { return buckets_.size() * sizeof(Bucket); }

 private:
  static constexpr std::size_t ways = 8;
  static constexpr unsigned steps = 64;
  struct Ghost {
    std::uint16_t mark = 0;  // A part of the hash; 0 = none.
    std::uint8_t at = 0;
  };
  using Bucket = std::array<Ghost, ways>;

  static std::uint64_t mixed(Item item) {
    return (std::uint64_t{item.owner} << 32 | item.hash) * 0x9e3779b97f4a7c15u;
  }
  static std::uint16_t mark_of(Item item) {
    return static_cast<std::uint16_t>((mixed(item) >> 16 & 0xffffu) | 1u);
  }
  Bucket& bucket_of(Item item) { return buckets_[(mixed(item) >> 32) & (buckets_.size() - 1)]; }
  unsigned age(const Ghost& ghost) const { return static_cast<std::uint8_t>(now_ - ghost.at); }

  std::vector<Bucket> buckets_ = std::vector<Bucket>(16);
  std::size_t wanted_ = 0;
  std::size_t since_step_ = 0;
  std::uint8_t now_ = 0;
};

// New items go through a small queue, and leave it at its end unless they were asked for again
// meanwhile: what is asked for once does not push out what is asked for often. What leaves is
// remembered; if it comes back soon it goes to the main queue, which is a clock.
class S3Fifo : public EvictionPolicy {
 public:
  Victim victim(Find find) override {
    while (size() > 0) {
      const bool from_small = small_.size() * 10 >= size() || main_.empty();
      const Victim victim = from_small ? from_small_queue(find) : from_main_queue(find);
      if (victim.entry != nullptr) return victim;
    }
    return {nullptr, {}};
  }

  std::size_t size() const override { return small_.size() + main_.size(); }
  std::size_t bytes() const override { return size() * sizeof(Item) + ghosts_.bytes(); }

 protected:
  void push(Item item) override { (ghosts_.take(item) ? main_ : small_).push_back(item); }

  void tidy(Find find) override {
    const auto stale = [&](Item item) { return !mark(item, find); };
    std::erase_if(main_, stale);
    std::erase_if(small_, stale);
    for (const auto* queue : {&main_, &small_}) {
      for (const Item item : *queue)
        unmark(item, find);
    }
  }

 private:
  using Queue = std::deque<Item>;

  // Takes the first item; null if what it stands for is not to be evicted.
  static Victim take_first(Queue& queue, Find find) {
    const Item item = queue.front();
    queue.pop_front();
    Entry* const entry = find(item);
    if (entry == nullptr || !entry->is(Entry::queued)) return {nullptr, item};
    if (!entry->is(Entry::dirty)) return {entry, item};
    entry->clear(Entry::queued);
    return {nullptr, item};
  }

  // Null: nothing was found this time.
  Victim from_small_queue(Find find) {
    const Victim first = take_first(small_, find);
    if (first.entry == nullptr) return first;
    if (first.entry->touches() > 1) {
      first.entry->clear(Entry::touched | Entry::touched_more);
      main_.push_back(first.item);
      return {nullptr, {}};
    }
    ghosts_.resize(main_.size());
    ghosts_.add(first.item);
    first.entry->clear(Entry::queued);
    return first;
  }

  Victim from_main_queue(Find find) {
    const Victim first = take_first(main_, find);
    if (first.entry == nullptr) return first;
    if (first.entry->touches() > 0) {
      first.entry->untouch();
      main_.push_back(first.item);
      return {nullptr, {}};
    }
    first.entry->clear(Entry::queued);
    return first;
  }

  Queue small_;
  Queue main_;
  Ghosts ghosts_;
};

// The one of a few items taken by chance that was not asked for the longest. Its clock goes on with
// what is evicted, one step per 64th of the items, so that a byte spans four times as many
// evictions as there are items; hardly anything stays that long without being asked for.
class SampledLru : public EvictionPolicy {
 public:
  explicit SampledLru(std::uint64_t seed) : random_(seed) {}

  Victim victim(Find find) override {
    Victim best{nullptr, {}};
    std::size_t best_at = 0;
    unsigned best_age = 0;
    for (int samples = 0; samples < samples_each && !items_.empty();) {
      const std::size_t at = random_.below(items_.size());
      Entry* const entry = find(items_[at]);
      if (!evictable(entry)) {
        // What was at the end takes its place, and that may be the best so far.
        if (best_at + 1 == items_.size()) best_at = at;
        take(at);
        continue;
      }
      ++samples;
      const unsigned age = static_cast<std::uint8_t>(clock_ - entry->used());
      if (best.entry != nullptr && age <= best_age) continue;
      best = {entry, items_[at]};
      best_at = at;
      best_age = age;
    }
    if (best.entry == nullptr) return best;
    take(best_at);
    best.entry->clear(Entry::queued);
    tick();
    return best;
  }

  std::size_t size() const override { return items_.size(); }
  std::size_t bytes() const override { return items_.capacity() * sizeof(Item); }

 protected:
  void push(Item item) override { items_.push_back(item); }

  void tidy(Find find) override {
    std::erase_if(items_, [&](Item item) { return !mark(item, find); });
    for (const Item item : items_)
      unmark(item, find);
  }

 private:
  static constexpr int samples_each = 10;

  static bool evictable(Entry* entry) {
    if (entry == nullptr || !entry->is(Entry::queued)) return false;
    if (!entry->is(Entry::dirty)) return true;
    entry->clear(Entry::queued);
    return false;
  }

  void take(std::size_t at) {
    items_[at] = items_.back();
    items_.pop_back();
  }

  void tick() {
    if (++since_tick_ * 64 < items_.size()) return;
    since_tick_ = 0;
    ++clock_;
  }

  std::vector<Item> items_;
  std::size_t since_tick_ = 0;
  Random random_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_s3_fifo() {
  return std::make_unique<S3Fifo>();
}

std::unique_ptr<EvictionPolicy> make_sampled_lru(std::uint64_t seed) {
  return std::make_unique<SampledLru>(seed);
}

}  // namespace dhrt
