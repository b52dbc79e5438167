#include "storage/record.h"

#include <algorithm>
#include <tuple>

#include "storage/record_codec.h"

namespace dhrt {

namespace {

bool name_byte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

template <typename AnyRecord>
std::strong_ordering ordered(const AnyRecord& left, const AnyRecord& right) {
  const auto by_version =
      std::tie(left.version, left.deleted) <=> std::tie(right.version, right.deleted);
  if (by_version != 0) return by_version;
  // Of the same delete there are two only where one was made anew.
  if (left.deleted && left.dot != right.dot) {
    const auto by_times = times_made_anew(left.attributes) <=> times_made_anew(right.attributes);
    if (by_times != 0) return by_times;
  }
  return left.dot <=> right.dot;
}

}  // namespace

std::strong_ordering compare(const Record& left, const Record& right) {
  return ordered(left, right);
}

Record tombstone_of(const Record& record) {
  return {.version = record.version,
          .dot = record.dot,
          .deleted = true,
          .damaged = false,
          .deadline = 0,
          .created = 0,
          .previous = record.previous,
          .attributes = {},
          .value = {}};
}

RecordView view_of(const Record& record) {
  return {.version = record.version,
          .dot = record.dot,
          .deleted = record.deleted,
          .damaged = record.damaged,
          .deadline = record.deadline,
          .created = record.created,
          .attributes = record.attributes,
          .value = record.value};
}

Record copy_of(const RecordView& view) {
  return {.version = view.version,
          .dot = view.dot,
          .deleted = view.deleted,
          .damaged = view.damaged,
          .deadline = view.deadline,
          .created = view.created,
          .previous = std::nullopt,
          .attributes = std::string(view.attributes),
          .value = std::string(view.value)};
}

std::strong_ordering compare(const RecordView& left, const RecordView& right) {
  return ordered(left, right);
}

RecordView tombstone_of(const RecordView& record) {
  return {.version = record.version, .dot = record.dot, .deleted = true, .unseen = record.unseen};
}

WallMilliseconds created_of(const RecordView& held) {
  if (held.created != 0) return held.created;
  return hlc_milliseconds(held.version.hlc);
}

WallMilliseconds created_in_place_of(const RecordView& held, const RecordView& record) {
  if (held.dot == record.dot) return held.created == created_unknown ? 0 : held.created;
  if (held.damaged || record.deleted || !visible(held, hlc_milliseconds(record.version.hlc)))
    return 0;
  return created_of(held);
}

bool valid_collection_name(Bytes name) {
  if (name.empty() || name.size() > collection_name_bytes_max) return false;
  if (name.front() == '.' || name.front() == '-' || name.front() == '_') return false;
  return std::ranges::all_of(name, name_byte);
}

bool system_collection_name(Bytes name) {
  if (name.size() < 2 || name.size() > collection_name_bytes_max) return false;
  return name.front() == '_' && std::ranges::all_of(name, name_byte);
}

}  // namespace dhrt
