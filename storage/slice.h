// Keeps count of what a slice of records holds, against its limits.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "storage/store.h"

namespace dhrt {

class SliceFiller {
 public:
  explicit SliceFiller(const SliceLimits& limits) : limits_(limits) {}

  // False if the record does not fit any more; the first one always fits.
  bool fits(std::size_t bytes) const {
    if (records_ == 0) return true;
    return records_ < limits_.records_max && bytes_ + bytes <= limits_.bytes_max;
  }
  void add(Bytes key, const RecordView& record) {
    ++records_;
    bytes_ += key.size() + record.attributes.size() + record.value.size();
  }
  void add(std::vector<KeyedRecord>& records, std::string key, Record record) {
    add(key, view_of(record));
    records.push_back({std::move(key), std::move(record)});
  }

 private:
  SliceLimits limits_;
  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
};

inline bool has_prefix(Bytes key, Bytes prefix) {
  return key.substr(0, prefix.size()) == prefix;
}

}  // namespace dhrt
