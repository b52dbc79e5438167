#include "storage/table.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "storage/base/check.h"

namespace dhrt {

namespace {

// A slot: 19 bits of tag, then the address of an entry without its three low bits; 0 = empty.
// Addresses of the x86-64 and arm64 systems have 48 bits.
constexpr unsigned tag_bits = 19;
constexpr unsigned address_shift = 64 - tag_bits;

// What places a key within its stripe: the upper 24 bits of its hash, as a fraction of the slots.
// The tag is the lower 19 of them, and where the slot is tells the upper 5: so a table grows, and
// closes the gaps of what was taken out, without reading any entry.
constexpr unsigned place_bits = 24;
constexpr std::uint64_t place_mask = (std::uint64_t{1} << place_bits) - 1;
constexpr std::uint64_t tag_mask = (std::uint64_t{1} << tag_bits) - 1;

constexpr std::size_t page_bytes = 4096;  // Smaller arrays come from calloc.

std::uint64_t place_of(std::uint64_t hash) {
  return hash >> (64 - place_bits);
}

std::uint64_t slot_of(const Entry* entry, std::uint64_t place) {
  const std::uint64_t address = reinterpret_cast<std::uintptr_t>(entry);
  return place << address_shift | address >> 3;
}

Entry* entry_of(std::uint64_t slot) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how eight bytes hold both.
  return reinterpret_cast<Entry*>(slot << tag_bits >> (tag_bits - 3));
}

bool has_tag_of(std::uint64_t slot, std::uint64_t place) {
  return slot >> address_shift == (place & tag_mask);
}

// The array of a part. Slots are atomic only for prefetch_entry(), which reads them without the
// lock; all else happens under it.
struct Slots {
  std::size_t capacity;
  std::size_t bytes;
  std::atomic<std::uint64_t> at[1];

  // Doubles what is small: what was grown out of stays (see Part::old). Else an eighth more pages.
  static std::size_t bytes_behind(const Slots* before, bool doubles) {
    if (before == nullptr) return page_bytes / 32;
    if (before->bytes < page_bytes || doubles) return before->bytes * 2;
    const std::size_t pages = before->bytes / page_bytes;
    return (pages + (pages + 7) / 8) * page_bytes;
  }

  // Of pages that have four of five slots used by so many entries.
  static std::size_t bytes_for(std::size_t entries) {
    const std::size_t slots = entries + entries / 4;
    const std::size_t bytes = offsetof(Slots, at) + slots * sizeof(std::uint64_t);
    return (bytes / page_bytes + 1) * page_bytes;
  }

  static Slots* make(std::size_t bytes) {
    void* memory = nullptr;
    if (bytes < page_bytes) {
      memory = std::calloc(1, bytes);
    } else {
      memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) memory = nullptr;
    }
    check(memory != nullptr, "the system has memory for a table");
    auto* const slots = static_cast<Slots*>(memory);  // Zeroes are empty slots.
    slots->capacity = (bytes - offsetof(Slots, at)) / sizeof(std::uint64_t);
    slots->bytes = bytes;
    return slots;
  }

  static void end(Slots* slots, std::size_t bytes) {
    if (bytes < page_bytes) {
      std::free(slots);
    } else {
      munmap(slots, bytes);
    }
  }

  std::uint64_t get(std::size_t i) const { return at[i].load(std::memory_order_relaxed); }
  void set(std::size_t i, std::uint64_t slot) { at[i].store(slot, std::memory_order_relaxed); }
  std::size_t home(std::uint64_t place) const { return place * capacity >> place_bits; }
  std::size_t next(std::size_t i) const { return i + 1 < capacity ? i + 1 : 0; }
  // How far a slot is behind the place's home.
  std::size_t distance(std::size_t i, std::uint64_t place) const {
    const std::size_t from = home(place);
    return i >= from ? i - from : i + capacity - from;
  }
};

}  // namespace

struct alignas(64) Table::Part {
  std::atomic<Slots*> slots{nullptr};
  // That of the array, so that a search touches no other line of it than its slots.
  std::atomic<std::size_t> capacity{0};
  // False when some entry is so far behind its home that its place cannot be told from its slot;
  // then places are reckoned from keys until the table grows.
  bool places_known = true;
  bool is_filled = false;  // Between begin_filling() and end_filling().
  std::atomic<std::size_t> count{0};
  std::atomic<std::size_t> bytes{0};
  // Arrays that were grown out of. They keep their addresses, so that who reads one without the
  // lock reads zeroes at worst, but no memory (small ones do).
  std::vector<std::pair<Slots*, std::size_t>> old;

  ~Part() {
    if (Slots* const last = array(); last != nullptr) Slots::end(last, last->bytes);
    for (const auto& [array, bytes_of_array] : old)
      Slots::end(array, bytes_of_array);
  }

  Slots* array() const { return slots.load(std::memory_order_relaxed); }
  void add_bytes(std::size_t added, std::size_t taken) {
    bytes.store(bytes.load(std::memory_order_relaxed) + added - taken, std::memory_order_relaxed);
  }
  void add_count(std::size_t added, std::size_t taken) {
    count.store(count.load(std::memory_order_relaxed) + added - taken, std::memory_order_relaxed);
  }

  // The place of the entry in a slot that is not empty.
  std::uint64_t place_in(const Slots& in, std::size_t i) const {
    const std::uint64_t slot = in.get(i);
    if (!places_known) return place_of(hash64(entry_of(slot)->key()));
    // The last place with this tag that a slot up to this one is the home of.
    const double places_per_slot =
        static_cast<double>(place_mask + 1) / static_cast<double>(in.capacity);
    const auto last = static_cast<std::int64_t>(static_cast<double>(i + 1) * places_per_slot) + 1;
    const auto tag = static_cast<std::int64_t>(slot >> address_shift);
    const auto upper = static_cast<std::uint64_t>((last - tag) >> tag_bits);
    return (upper << tag_bits | static_cast<std::uint64_t>(tag)) & place_mask;
  }

  // Puts an entry that is not there into the first empty slot from its home on.
  void insert(Slots& into, std::uint64_t slot, std::uint64_t place) {
    std::size_t i = into.home(place);
    while (into.get(i) != 0)
      i = into.next(i);
    into.set(i, slot);
    // Places repeat a tag every 32nd of the slots; half of that leaves room for rounding.
    if (into.distance(i, place) + 1 >= into.capacity / 64) far_from_home = true;
  }

  void make_room();
  void grow() { move_to(Slots::bytes_behind(array(), is_filled)); }
  void fit();
  void move_to(std::size_t bytes);
  void close_gap(Slots& in, std::size_t gap);

  bool far_from_home = false;
};

// At most 85 % of the slots are used.
void Table::Part::make_room() {
  const Slots* const now = array();
  const std::size_t used = count.load(std::memory_order_relaxed) + 1;
  if (now == nullptr || used * 20 > now->capacity * 17) grow();
}

void Table::Part::fit() {
  const Slots* const now = array();
  if (now == nullptr) return;
  const std::size_t bytes_wanted = Slots::bytes_for(count.load(std::memory_order_relaxed));
  if (bytes_wanted < now->bytes) move_to(bytes_wanted);
}

void Table::Part::move_to(std::size_t bytes_after) {
  Slots* const before = array();
  Slots* const after = Slots::make(bytes_after);
  far_from_home = false;
  add_bytes(after->bytes, 0);
  if (before != nullptr) {
    for (std::size_t i = 0; i < before->capacity; ++i) {
      if (const std::uint64_t slot = before->get(i); slot != 0)
        insert(*after, slot, place_in(*before, i));
    }
  }
  slots.store(after, std::memory_order_release);
  capacity.store(after->capacity, std::memory_order_relaxed);
  places_known = !far_from_home;
  if (before == nullptr) return;
  const std::size_t bytes_before = before->bytes;
  old.emplace_back(before, bytes_before);
  if (bytes_before < page_bytes) return;
  madvise(before, bytes_before, MADV_DONTNEED);
  add_bytes(0, bytes_before);
}

// Moves the entries behind a gap that their homes are in front of, so that no search ends at it.
void Table::Part::close_gap(Slots& in, std::size_t gap) {
  in.set(gap, 0);
  for (std::size_t i = in.next(gap); in.get(i) != 0; i = in.next(i)) {
    const std::size_t from_home = in.distance(i, place_in(in, i));
    const std::size_t from_gap = i >= gap ? i - gap : i + in.capacity - gap;
    if (from_home < from_gap) continue;
    in.set(gap, in.get(i));
    in.set(i, 0);
    gap = i;
  }
}

std::size_t Stripes::bytes() const {
  std::size_t sum = 0;
  for (const Stripe& stripe : stripes_)
    sum += stripe.slab.bytes();
  return sum;
}

Table::Table(Stripes& stripes)
    : stripes_(stripes), parts_(std::make_unique<Part[]>(stripe_count)) {}

Table::~Table() {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(stripes_[i].lock);
    const Slots* const slots = parts_[i].array();
    for (std::size_t at = 0; slots != nullptr && at < slots->capacity; ++at) {
      if (const std::uint64_t slot = slots->get(at); slot != 0) free(i, entry_of(slot));
    }
  }
}

Table::Part& Table::part_of(const HashedKey& key) const {
  return parts_[stripe_of(key.hash)];
}

Entry* Table::find(const HashedKey& key) const {
  const Part& part = part_of(key);
  const Slots* const slots = part.array();
  if (slots == nullptr) return nullptr;
  const std::size_t capacity = part.capacity.load(std::memory_order_relaxed);
  const std::uint64_t place = place_of(key.hash);
  std::uint64_t slot = 0;
  for (std::size_t i = place * capacity >> place_bits; (slot = slots->get(i)) != 0;
       i = i + 1 < capacity ? i + 1 : 0) {
    if (!has_tag_of(slot, place)) continue;
    if (Entry* const entry = entry_of(slot); entry->key() == key.bytes) return entry;
  }
  return nullptr;
}

Entry* Table::find_placed(std::size_t stripe, std::uint32_t hash_begin) const {
  const Slots* const slots = parts_[stripe].array();
  if (slots == nullptr) return nullptr;
  const std::uint64_t place = hash_begin >> (32 - place_bits);
  std::uint64_t slot = 0;
  for (std::size_t i = slots->home(place); (slot = slots->get(i)) != 0; i = slots->next(i)) {
    if (has_tag_of(slot, place)) return entry_of(slot);
  }
  return nullptr;
}

Table::Put Table::put(const HashedKey& key, const RecordView& record, OriginAlias alias,
                      std::uint8_t state) {
  Part& part = part_of(key);
  const std::size_t bytes = Entry::size_of(key.bytes, record);
  Entry* const entry =
      Entry::make(stripes_.of(key).slab.allocate(bytes), key.bytes, record, alias, state);
  part.add_bytes(Slab::rounded(bytes), 0);
  const std::uint64_t place = place_of(key.hash);
  const std::uint64_t new_slot = slot_of(entry, place);
  if (Slots* const slots = part.array(); slots != nullptr) {
    std::uint64_t slot = 0;
    for (std::size_t i = slots->home(place); (slot = slots->get(i)) != 0; i = slots->next(i)) {
      Entry* const there = entry_of(slot);
      if (!has_tag_of(slot, place) || there->key() != key.bytes) continue;
      Slab::prefetch_free(there);
      entry->inherit(*there);
      slots->set(i, new_slot);
      return {entry, there};
    }
  }
  part.make_room();
  part.insert(*part.array(), new_slot, place);
  if (part.far_from_home) part.places_known = false;
  part.add_count(1, 0);
  return {entry, nullptr};
}

void Table::take_out(const HashedKey& key, Entry* entry) {
  Part& part = part_of(key);
  Slots* const slots = part.array();
  check(slots != nullptr, "what is taken out of a table is in it");
  const std::uint64_t slot = slot_of(entry, place_of(key.hash));
  std::size_t i = slots->home(place_of(key.hash));
  while (slots->get(i) != slot) {
    check(slots->get(i) != 0, "what is taken out of a table is in it");
    i = slots->next(i);
  }
  part.close_gap(*slots, i);
  part.add_count(0, 1);
  ++stripes_.of(key).departures;
}

void Table::free(std::size_t stripe, Entry* entry) {
  const std::size_t bytes = entry->size();
  parts_[stripe].add_bytes(0, Slab::rounded(bytes));
  stripes_[stripe].slab.free(entry, bytes);
}

void Table::begin_filling() {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(stripes_[i].lock);
    parts_[i].is_filled = true;
  }
}

void Table::end_filling() {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(stripes_[i].lock);
    parts_[i].is_filled = false;
    parts_[i].fit();
  }
}

// The array and its capacity may be of two moments: an address that is wrong does no harm here.
void Table::prefetch(const HashedKey& key) const {
  const Part& part = part_of(key);
  const Slots* const slots = part.slots.load(std::memory_order_acquire);
  if (slots == nullptr) return;
  const std::size_t capacity = part.capacity.load(std::memory_order_relaxed);
  __builtin_prefetch(slots->at + (place_of(key.hash) * capacity >> place_bits));
}

void Table::prefetch_entry(const HashedKey& key) const {
  const Slots* const slots = part_of(key).slots.load(std::memory_order_acquire);
  if (slots == nullptr) return;
  // Zero when the array was just grown out of.
  const std::size_t capacity = slots->capacity;
  const std::uint64_t place = place_of(key.hash);
  std::size_t i = place * capacity >> place_bits;
  for (int tries = 8; tries > 0 && i < capacity; --tries, ++i) {
    const std::uint64_t slot = slots->get(i);
    if (slot == 0) return;
    if (!has_tag_of(slot, place)) continue;
    // A usual record has three lines. Who replaces it reads one, but writes the next new record
    // of its stripe to all of them.
    const char* const entry = reinterpret_cast<const char*>(entry_of(slot));
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    __builtin_prefetch(entry + 128);
    return;
  }
}

std::size_t Table::visit(std::size_t stripe, std::size_t from,
                         FunctionRef<bool(Entry&)> visit_entry) {
  const Part& part = parts_[stripe];
  const Slots* const slots = part.array();
  if (slots == nullptr) return 0;
  constexpr std::size_t ahead = 8;
  for (std::size_t i = from; i < slots->capacity; ++i) {
    if (i + ahead < slots->capacity) __builtin_prefetch(entry_of(slots->get(i + ahead)));
    // What is taken out makes place for another one.
    for (std::uint64_t slot = 0; (slot = slots->get(i)) != 0;) {
      const bool more = visit_entry(*entry_of(slot));
      const bool stays = slots->get(i) == slot;
      if (!more) return stays ? (i + 1) % slots->capacity : i;
      if (stays) break;
    }
  }
  return 0;
}

Table::Relocated Table::relocate(std::size_t stripe, std::size_t from, std::size_t& budget,
                                 Moved moved) {
  Slots* const slots = parts_[stripe].array();
  if (slots == nullptr) return {0, 0};
  std::size_t entries = 0;
  Slab& slab = stripes_[stripe].slab;
  constexpr std::size_t ahead = 8;
  constexpr std::uint64_t tag = ~std::uint64_t{0} << address_shift;
  for (std::size_t i = from; i < slots->capacity; ++i) {
    if (budget == 0) return {i, entries};
    if (i % 64 == 0) --budget;
    const std::size_t next = i + ahead;
    if (next < slots->capacity && slab.is_evacuated(entry_of(slots->get(next))))
      __builtin_prefetch(entry_of(slots->get(next)));
    const std::uint64_t slot = slots->get(i);
    Entry* const entry = entry_of(slot);
    if (slot == 0 || !slab.is_evacuated(entry)) continue;
    const std::size_t bytes = entry->size();
    Entry* const to = Entry::copy(slab.allocate(bytes), *entry);
    slots->set(i, (slot & tag) | reinterpret_cast<std::uintptr_t>(to) >> 3);
    moved(*entry, *to);
    slab.free(entry, bytes);
    if (budget > 0) --budget;
    ++entries;
  }
  return {0, entries};
}

std::size_t Table::size() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < stripe_count; ++i)
    sum += parts_[i].count.load(std::memory_order_relaxed);
  return sum;
}

std::size_t Table::bytes() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < stripe_count; ++i)
    sum += parts_[i].bytes.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace dhrt
