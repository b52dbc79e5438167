// Puts straight into a collection's file, for tests of what is below the engine.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "storage/collection_file.h"

namespace dhrt::test {

// All of them, and `meta` with the last ones (null: it stays as it is).
inline Status write_puts(CollectionFile& file, std::vector<FilePut> puts,
                         const FileMeta* meta = nullptr) {
  std::size_t done = 0;
  do {
    const auto left = std::span(puts).subspan(done);
    const auto written = file.write(
        left, CollectionFile::Index::at_once, [](std::size_t, const Bytes*) {},
        [&](std::span<const std::optional<RecordHead>> replaced) {
          return replaced.size() == left.size() ? meta : nullptr;
        });
    if (!written) return tl::unexpected(written.error());
    done += *written;
  } while (done < puts.size());
  return {};
}

// Tombstones go, as far as they are there.
inline Status remove_graves(CollectionFile& file, std::vector<FileGrave> graves) {
  std::ranges::sort(graves, {}, &FileGrave::key);
  for (std::span<const FileGrave> rest = graves; !rest.empty();) {
    const auto done = file.remove(
        rest, UINT64_MAX, [](std::size_t, Bytes) {}, [](std::size_t) { return nullptr; });
    if (!done) return tl::unexpected(done.error());
    rest = rest.subspan(*done);
  }
  return {};
}

}  // namespace dhrt::test
