// A record in memory: one block with everything in it, in a slab of its stripe.
//
// Intuition: a new version of a key is a new entry, or is written over the old one where it takes
// exactly as much room; who reads an entry has the stripe's lock, or found it in the dot index,
// which does not lead to an entry that is being written. The bits of `state` say what the entry is
// to the checkpoint and to the cache, not what the record says.
//
// Layout: the fields below, the key, the optional fields that `has` names (deadline u64, version
// node u64 when it is not the dot's, created u64, attributes u16 and bytes), the value.
// Bounds: key and value as in record.h, the key not empty; a sequence is below 2^48.
// Threads: `state` and `used` are written under the stripe's lock; `state` may be read without.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

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
  // Another entry, of another key, has its dot: the dot index does not lead to this one.
  static constexpr std::uint8_t unindexed = 128;
  // The file may hold an older record of the key, which nobody looked at: it is still counted, and
  // `created` of this one may be unknown. Always dirty.
  static constexpr std::uint8_t unread = 64;

  // Bytes that an entry for this record takes.
  static std::size_t size_of(Bytes key, const RecordView& record);
  // Builds one in `memory`, which has size_of() bytes. `alias` names the record's origin. A record
  // that is unseen makes an entry that is, whatever `state` says.
  static Entry* make(void* memory, Bytes key, const RecordView& record, OriginAlias alias,
                     std::uint8_t state);

  // Makes the same entry in other `memory`. In stripe.
  static Entry* copy(void* memory, const Entry& entry);

  // Whether rewrite() can put this record here.
  bool is_laid_out_for(const RecordView& record) const;
  // Makes it a newer record of its key; what the cache policy knows of it stays. The record may
  // borrow its value and attributes from here.
  void rewrite(const RecordView& record, OriginAlias alias, std::uint8_t state);

  std::size_t size() const {
    const Bytes held = value();
    return static_cast<std::size_t>(held.data() + held.size() -
                                    reinterpret_cast<const char*>(this));
  }
  Bytes key() const {
    return {reinterpret_cast<const char*>(this + 1),
            static_cast<std::size_t>(key_bytes_and_has_ & key_bits)};
  }
  Bytes value() const;
  Bytes attributes() const;
  AliasDot dot() const {
    return {.origin = static_cast<OriginAlias>(sequence_and_alias_ >> 48),
            .sequence = sequence_and_alias_ & ((std::uint64_t{1} << 48) - 1)};
  }
  std::uint64_t hlc() const { return hlc_; }
  bool deleted() const { return (key_bytes_and_has_ & is_deleted) != 0; }
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
  // key_bytes_and_has_: the length of the key, then these.
  static constexpr unsigned key_bits = 0x1ff;
  static constexpr unsigned has_deadline = 1u << 9;
  static constexpr unsigned has_version_node = 1u << 10;
  static constexpr unsigned has_created = 1u << 11;
  static constexpr unsigned has_attributes = 1u << 12;
  static constexpr unsigned is_deleted = 1u << 13;
  static constexpr unsigned is_damaged = 1u << 14;
  static_assert(key_bytes_max <= key_bits);

  static unsigned has_of(const RecordView& record) {
    const auto bit = [](bool wanted, unsigned field) { return wanted ? field : 0u; };
    return bit(record.deadline != 0, has_deadline) |
           bit(record.version.node != record.dot.origin.node, has_version_node) |
           bit(record.created != 0, has_created) | bit(!record.attributes.empty(), has_attributes) |
           bit(record.deleted, is_deleted) | bit(record.damaged, is_damaged);
  }
  // Of the fields of 8 bytes.
  static std::size_t fixed_bytes(unsigned has) {
    constexpr unsigned first = 9;
    return 8 *
           std::size_t{(has >> first & 1) + (has >> (first + 1) & 1) + (has >> (first + 2) & 1)};
  }
  void fill(const RecordView& record, OriginAlias alias);
  template <typename T>
  static T get(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  const char* behind_key() const {
    return reinterpret_cast<const char*>(this + 1) + (key_bytes_and_has_ & key_bits);
  }
  const char* behind_fixed() const { return behind_key() + fixed_bytes(key_bytes_and_has_); }
  unsigned state() const { return state_.load(std::memory_order_relaxed); }
  void set_state(unsigned state) {
    state_.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
  }

  std::uint64_t hlc_;
  std::uint64_t sequence_and_alias_;  // 48 and 16 bits.
  std::uint32_t value_bytes_;
  std::uint16_t key_bytes_and_has_;
  std::atomic<std::uint8_t> state_;
  std::uint8_t used_;
};
static_assert(sizeof(Entry) == 24);

inline std::size_t Entry::size_of(Bytes key, const RecordView& record) {
  const std::size_t attributes =
      record.attributes.empty() ? 0 : sizeof(std::uint16_t) + record.attributes.size();
  return sizeof(Entry) + key.size() + fixed_bytes(has_of(record)) + attributes +
         record.value.size();
}

inline Bytes Entry::attributes() const {
  if ((key_bytes_and_has_ & has_attributes) == 0) return {};
  const char* const at = behind_fixed();
  return {at + sizeof(std::uint16_t), get<std::uint16_t>(at)};
}

inline Bytes Entry::value() const {
  const Bytes before = attributes();
  const char* const at = before.empty() ? behind_fixed() : before.data() + before.size();
  return {at, value_bytes_};
}

inline WallMilliseconds Entry::deadline() const {
  return (key_bytes_and_has_ & has_deadline) != 0 ? get<WallMilliseconds>(behind_key()) : 0;
}

inline RecordView Entry::view(const Origin& origin) const {
  const unsigned has = key_bytes_and_has_;
  RecordView view;
  view.version = {.hlc = hlc_, .node = origin.node};
  view.dot = {.origin = origin, .sequence = dot().sequence};
  view.deleted = deleted();
  view.damaged = (has & is_damaged) != 0;
  view.unseen = is(unseen);
  const char* at = behind_key();
  const auto next = [&](unsigned field, std::uint64_t& value) {
    if ((has & field) == 0) return;
    value = get<std::uint64_t>(at);
    at += sizeof value;
  };
  next(has_deadline, view.deadline);
  next(has_version_node, view.version.node);
  next(has_created, view.created);
  view.attributes = attributes();
  view.value = value();
  return view;
}

}  // namespace dhrt
