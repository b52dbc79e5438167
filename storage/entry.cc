#include "storage/entry.h"

#include <cstring>
#include <new>

#include "storage/base/check.h"

namespace dhrt {

namespace {

constexpr unsigned sequence_bits = 48;
constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << sequence_bits) - 1;

template <typename T>
char* put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

// What is put may be what stands there already.
char* put(char* at, Bytes bytes) {
  if (!bytes.empty()) std::memmove(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

}  // namespace

Entry* Entry::make(void* memory, Bytes key, const RecordView& record, OriginAlias alias,
                   std::uint8_t state) {
  check(!key.empty() && key.size() <= key_bytes_max, "a key has 1 to 511 bytes");
  check(record.dot.sequence <= sequence_mask, "a sequence is below 2^48");
  check(record.value.size() <= value_bytes_ceiling, "a value is at most 512 MiB");
  check(record.attributes.size() <= attributes_bytes_max, "attributes are at most 4 KiB");
  auto* const entry = new (memory) Entry;
  entry->value_bytes_ = static_cast<std::uint32_t>(record.value.size());
  entry->key_bytes_and_has_ = static_cast<std::uint16_t>(key.size() | has_of(record));
  entry->set_state(state);
  entry->used_ = 0;
  put(static_cast<char*>(memory) + sizeof(Entry), key);
  entry->fill(record, alias);
  return entry;
}

Entry* Entry::copy(void* memory, const Entry& entry) {
  std::memcpy(memory, &entry, entry.size());
  return std::launder(static_cast<Entry*>(memory));
}

bool Entry::is_laid_out_for(const RecordView& record) const {
  return (key_bytes_and_has_ & ~key_bits) == has_of(record) &&
         value_bytes_ == record.value.size() && attributes().size() == record.attributes.size();
}

void Entry::rewrite(const RecordView& record, OriginAlias alias, std::uint8_t state) {
  check(is_laid_out_for(record), "an entry is written over by what takes the same room");
  clear(unseen | unindexed);
  set(state);
  fill(record, alias);
}

// All but the key and what says where things are.
void Entry::fill(const RecordView& record, OriginAlias alias) {
  const unsigned has = key_bytes_and_has_;
  hlc_ = record.version.hlc;
  sequence_and_alias_ = record.dot.sequence | std::uint64_t{alias} << sequence_bits;
  if (record.unseen) set(unseen);
  char* at = reinterpret_cast<char*>(this + 1) + (has & key_bits);
  if ((has & has_deadline) != 0) at = put(at, record.deadline);
  if ((has & has_version_node) != 0) at = put(at, record.version.node);
  if ((has & has_created) != 0) at = put(at, record.created);
  if ((has & has_attributes) != 0) {
    at = put(at, static_cast<std::uint16_t>(record.attributes.size()));
    at = put(at, record.attributes);
  }
  put(at, record.value);
}

}  // namespace dhrt
