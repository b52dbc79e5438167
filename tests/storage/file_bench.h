// A collection's file for tests, spoken to in records.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/collection_file.h"
#include "storage/record_codec.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {

// A file, spoken to in records; what it should hold is kept beside it.
struct FileBench {
  explicit FileBench(const std::string& path, unsigned readers = 4)
      : options{.path = path, .readers = readers},
        file(must(CollectionFile::create(options, {"users", 3}))) {}

  void reopen() {
    file.reset();
    file = must(CollectionFile::open(options));
    REQUIRE(file != nullptr);
  }

  // Writes records, and gives back what each key held before, as "key:sequence".
  Result<std::string> write(const std::vector<KeyedRecord>& records,
                            const FileMeta* meta = nullptr) {
    std::map<std::string, std::string> encoded;
    for (const KeyedRecord& entry : records) {
      std::string& bytes = encoded[entry.key];
      bytes.clear();
      must(encode_record(bytes, entry.key, entry.record, origins, {}));
    }
    std::vector<FilePut> puts;
    for (const auto& [key, bytes] : encoded)
      puts.push_back({key, bytes});
    const bool later = puts.size() >= CollectionFile::large_write_puts || !file->settled();
    std::string told;
    std::size_t done = 0;
    do {
      std::string of_part;
      const auto meta_of = [&](std::span<const std::optional<RecordHead>> replaced) {
        of_part.clear();
        for (std::size_t i = 0; i < replaced.size(); ++i) {
          of_part += " " + std::string(puts[done + i].key) + ":" +
                     (replaced[i] ? std::to_string(replaced[i]->sequence) : "-");
        }
        return later ? nullptr : meta;
      };
      const auto written = file->write(
          std::span(puts).subspan(done),
          later ? CollectionFile::Index::later : CollectionFile::Index::at_once,
          [](std::size_t, const Bytes*) {}, meta_of);
      if (!written) return tl::unexpected(written.error());
      done += *written;
      told += of_part;
    } while (done < puts.size());
    if (later && meta != nullptr) {
      if (auto status = file->settle_index(meta); !status) return tl::unexpected(status.error());
    }
    return told.substr(told.empty() ? 0 : 1);
  }

  std::optional<Record> get(const std::string& key, unsigned loop = 0) {
    std::optional<Record> found;
    must(file->get(loop, key, [&](const Bytes* bytes) {
      if (bytes != nullptr) found = must(decode_record(*bytes, key, origins));
    }));
    return found;
  }
  std::string scan(const std::string& from = "", bool behind = false, std::size_t count = 1000) {
    std::string keys;
    must(file->scan(0, from, behind, [&](Bytes key, Bytes) {
      keys += std::string(key) + " ";
      return --count > 0;
    }));
    return keys;
  }
  std::string walk(AliasDot from, std::size_t count = 1000) {
    std::string keys;
    must(file->walk(0, from, [&](AliasDot dot, Bytes key, Bytes bytes) {
      CHECK(peek_record(bytes)->sequence == dot.sequence);
      keys += std::to_string(dot.sequence) + ":" + std::string(key) + " ";
      return --count > 0;
    }));
    return keys;
  }
  std::string expired(WallMilliseconds deadline, std::string& cursor, std::size_t count = 1000) {
    std::string keys;
    must(file->next_expired(0, deadline, cursor, [&](Bytes key) {
      keys += std::string(key) + " ";
      return --count > 0;
    }));
    return keys;
  }
  std::string expired(WallMilliseconds deadline) {
    std::string cursor;
    return expired(deadline, cursor);
  }

  std::vector<FileGrave> graves(AliasDot from = {}, std::size_t count = 1000) {
    std::vector<FileGrave> found;
    must(file->graves(0, from, [&](AliasDot dot, Bytes key) {
      found.push_back({dot, std::string(key)});
      return --count > 0;
    }));
    return found;
  }
  std::string graves_told(AliasDot from = {}, std::size_t count = 1000) {
    std::string text;
    for (const FileGrave& grave : graves(from, count))
      text += std::to_string(grave.dot.sequence) + ":" + grave.key + " ";
    return text;
  }
  // Takes out what it can of these; the keys that went.
  std::string remove(std::vector<FileGrave> graves, const FileMeta* meta = nullptr) {
    std::ranges::sort(graves, {}, &FileGrave::key);
    std::string went;
    for (std::span<const FileGrave> rest = graves; !rest.empty();) {
      std::size_t of_part = 0;
      const auto done = must(file->remove(
          rest, std::numeric_limits<std::uint64_t>::max(),
          [&](std::size_t i, Bytes held) {
            CHECK(peek_record(held)->sequence == rest[i].dot.sequence);
            went += rest[i].key + " ";
            ++of_part;
          },
          [&](std::size_t removed) {
            CHECK(removed == of_part);
            return meta;
          }));
      rest = rest.subspan(done);
    }
    return went;
  }

  LmdbEnv::Options options;
  std::unique_ptr<CollectionFile> file;
  OriginTable origins;
};

}  // namespace dhrt::test
