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

char* put(char* at, Bytes bytes) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

}  // namespace

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

}  // namespace dhrt
