// Entries in memory of a test's own, for tests of what leads to entries.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "storage/entry.h"

namespace dhrt::test {

class HeldEntries {
 public:
  Entry& make(Bytes key, const RecordView& record, OriginAlias origin = 0) {
    auto memory = std::make_unique<std::uint64_t[]>(Entry::size_of(key, record) / 8 + 1);
    Entry* const entry = Entry::make(memory.get(), key, record, origin, 0);
    all_.push_back(std::move(memory));
    return *entry;
  }

 private:
  std::vector<std::unique_ptr<std::uint64_t[]>> all_;
};

}  // namespace dhrt::test
