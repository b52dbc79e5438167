// A record in memory: one block with everything in it, in a slab of its stripe.
//
// Intuition: an entry is written once and never changed after others can see it; a new version
// of a key is a new entry. Only the bits of `state` change: they say what the entry is to the
// checkpoint and to the cache, not what the record says.
//
// Layout: the fields below, the key, the optional fields that `has` names (deadline u64, version
// node u64 when it is not the dot's, created u64, attributes u16 and bytes), the value.
// Bounds: key and value as in record.h, the key not empty; a sequence is below 2^48.
// Threads: `state` and `used` are written under the stripe's lock; `state` may be read without.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "storage/hashed_key.h"
#include "storage/record.h"

namespace dhrt {

// Two-byte name of an origin within a collection (storage/record_codec.h, OriginTable).
using OriginAlias = std::uint16_t;

// A dot as a file or a table names it.
struct AliasDot {
  OriginAlias origin = 0;
  std::uint64_t sequence = 0;

  bool operator==(const AliasDot&) const = default;
};

class Entry {
 public:
  // Bits of `state`.
  static constexpr std::uint8_t dirty = 1;   // Not in the collection's file yet.
  static constexpr std::uint8_t unseen = 2;  // Pulled: its dot may not be in the seen context.
  // The cache policy's own bits. The first two count how often it was asked for, up to 3.
  static constexpr std::uint8_t touched = 4;
  static constexpr std::uint8_t touched_more = 8;
  static constexpr std::uint8_t queued = 16;  // The policy knows it.
  static constexpr std::uint8_t marked = 32;  // Within one call of the policy only.

  // Bytes that an entry for this record takes.
  static std::size_t size_of(Bytes key, const RecordView& record);
  // Builds one in `memory`, which has size_of() bytes. `alias` names the record's origin. A record
  // that is unseen makes an entry that is, whatever `state` says.
  static Entry* make(void* memory, Bytes key, const RecordView& record, OriginAlias alias,
                     std::uint8_t state);

  std::size_t size() const;
  Bytes key() const {
    return {reinterpret_cast<const char*>(this + 1),
            static_cast<std::size_t>(key_bytes_and_has_ & 0x1ffu)};
  }
  Bytes value() const;
  Bytes attributes() const;
  AliasDot dot() const {
    return {.origin = static_cast<OriginAlias>(sequence_and_alias_ >> 48),
            .sequence = sequence_and_alias_ & ((std::uint64_t{1} << 48) - 1)};
  }
  std::uint64_t hlc() const { return hlc_; }
  bool deleted() const;
  WallMilliseconds deadline() const;
  // `origin` is what the alias stands for.
  RecordView view(const Origin& origin) const;

  bool is(std::uint8_t bits) const { return (state() & bits) != 0; }
  void set(std::uint8_t bits) { set_state(state() | bits); }
  void clear(std::uint8_t bits) { set_state(state() & ~unsigned{bits}); }
  // When it was last asked for, by the cache policy's clock, which wraps.
  std::uint8_t used() const { return used_; }
  void use(std::uint8_t clock) { used_ = clock; }
  // How often it was asked for, as far as two bits go; not to be touched beyond 3.
  unsigned touches() const { return state() / touched % 4; }
  void touch() { set_state(state() + touched); }
  void untouch() { set_state(state() - touched); }
  // Takes over what the cache policy knows of the entry whose place it takes.
  void inherit(const Entry& replaced) {
    set_state(state() | (replaced.state() & (touched | touched_more | queued)));
    used_ = replaced.used_;
  }

 private:
  const char* behind_key() const;
  const char* behind_fixed() const;
  unsigned state() const { return state_.load(std::memory_order_relaxed); }
  void set_state(unsigned state) {
    state_.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
  }

  std::uint64_t hlc_;
  std::uint64_t sequence_and_alias_;  // 48 and 16 bits.
  std::uint32_t value_bytes_;
  std::uint16_t key_bytes_and_has_;  // 9 bits, then what follows: see entry.cc.
  std::atomic<std::uint8_t> state_;
  std::uint8_t used_;
};
static_assert(sizeof(Entry) == 24);

}  // namespace dhrt
