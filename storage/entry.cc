#include "storage/entry.h"

#include <cstring>
#include <new>

#include "storage/base/check.h"

namespace dhrt {

namespace {

// key_bytes_and_has: the length of the key, then these.
constexpr unsigned key_bits = 0x1ff;
constexpr unsigned has_deadline = 1u << 9;
constexpr unsigned has_version_node = 1u << 10;
constexpr unsigned has_created = 1u << 11;
constexpr unsigned has_attributes = 1u << 12;
constexpr unsigned is_deleted = 1u << 13;
constexpr unsigned is_damaged = 1u << 14;
static_assert(key_bytes_max <= key_bits);

constexpr unsigned sequence_bits = 48;
constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << sequence_bits) - 1;

unsigned has_of(const RecordView& record) {
  unsigned has = 0;
  if (record.deadline != 0) has |= has_deadline;
  if (record.version.node != record.dot.origin.node) has |= has_version_node;
  if (record.created != 0) has |= has_created;
  if (!record.attributes.empty()) has |= has_attributes;
  if (record.deleted) has |= is_deleted;
  if (record.damaged) has |= is_damaged;
  return has;
}

// Of the fields of 8 bytes.
std::size_t fixed_bytes(unsigned has) {
  return static_cast<std::size_t>(
      __builtin_popcount(has & (has_deadline | has_version_node | has_created)) * 8);
}

template <typename T>
char* put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

char* put(char* at, Bytes bytes) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

template <typename T>
T get(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::size_t Entry::size_of(Bytes key, const RecordView& record) {
  const unsigned has = has_of(record);
  const std::size_t attributes =
      (has & has_attributes) != 0 ? sizeof(std::uint16_t) + record.attributes.size() : 0;
  return sizeof(Entry) + key.size() + fixed_bytes(has) + attributes + record.value.size();
}

Entry* Entry::make(void* memory, Bytes key, const RecordView& record, OriginAlias alias,
                   std::uint8_t state) {
  check(!key.empty() && key.size() <= key_bytes_max, "a key has 1 to 511 bytes");
  check(record.dot.sequence <= sequence_mask, "a sequence is below 2^48");
  check(record.value.size() <= value_bytes_ceiling, "a value is at most 512 MiB");
  check(record.attributes.size() <= attributes_bytes_max, "attributes are at most 4 KiB");
  const unsigned has = has_of(record);
  auto* const entry = new (memory) Entry;
  entry->hlc_ = record.version.hlc;
  entry->sequence_and_alias_ = record.dot.sequence | std::uint64_t{alias} << sequence_bits;
  entry->value_bytes_ = static_cast<std::uint32_t>(record.value.size());
  entry->key_bytes_and_has_ = static_cast<std::uint16_t>(key.size() | has);
  entry->set_state(state | (record.unseen ? unsigned{unseen} : 0u));
  entry->used_ = 0;
  char* at = put(static_cast<char*>(memory) + sizeof(Entry), key);
  if ((has & has_deadline) != 0) at = put(at, record.deadline);
  if ((has & has_version_node) != 0) at = put(at, record.version.node);
  if ((has & has_created) != 0) at = put(at, record.created);
  if ((has & has_attributes) != 0) {
    at = put(at, static_cast<std::uint16_t>(record.attributes.size()));
    at = put(at, record.attributes);
  }
  put(at, record.value);
  return entry;
}

const char* Entry::behind_key() const {
  return reinterpret_cast<const char*>(this + 1) + (key_bytes_and_has_ & key_bits);
}

const char* Entry::behind_fixed() const {
  return behind_key() + fixed_bytes(key_bytes_and_has_);
}

std::size_t Entry::size() const {
  const Bytes held = value();
  return static_cast<std::size_t>(held.data() + held.size() - reinterpret_cast<const char*>(this));
}

Bytes Entry::attributes() const {
  if ((key_bytes_and_has_ & has_attributes) == 0) return {};
  const char* const at = behind_fixed();
  return {at + sizeof(std::uint16_t), get<std::uint16_t>(at)};
}

Bytes Entry::value() const {
  const Bytes before = attributes();
  const char* const at = before.empty() ? behind_fixed() : before.data() + before.size();
  return {at, value_bytes_};
}

bool Entry::deleted() const {
  return (key_bytes_and_has_ & is_deleted) != 0;
}

WallMilliseconds Entry::deadline() const {
  return (key_bytes_and_has_ & has_deadline) != 0 ? get<WallMilliseconds>(behind_key()) : 0;
}

RecordView Entry::view(const Origin& origin) const {
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
