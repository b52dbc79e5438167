// What the tests of the log share: a log in a directory of its own, written to in short words,
// and what a start after a crash reads of it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/log_file.h"
#include "storage/log_reader.h"
#include "storage/log_writer.h"
#include "tests/storage/small_disk.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {

inline std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::vector<std::string> file_names(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

inline constexpr NodeId log_node = 7;
inline constexpr LogId log_id{3, 1};
inline const CollectionRef log_users{"users", 1};

inline LogOptions log_options(const std::string& directory) {
  return {.directory = directory,
          .id = log_id,
          .node = log_node,
          .segment_bytes = 4096,
          .inline_sync_max = Duration{1000}};
}

struct LogBench {
  explicit LogBench(const LogOptions& options) {
    auto opened = LogWriter::open(options);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    log = std::move(*opened);
  }

  void add(const std::string& key, const std::string& value) {
    RecordView record;
    record.version = {1, log_node};
    record.dot = {{log_node, log_id.run, log_id.loop}, ++sequence};
    record.value = value;
    log->frame().add_record(log_users, key, record, true);
  }
  // A turn with one write.
  Status write(const std::string& key, const std::string& value, bool is_delete = false) {
    Status status = log->reserve(log_item_overhead_max + key.size() + value.size(), is_delete);
    if (!status) return status;
    add(key, value);
    log->commit(++position);
    return {};
  }
  void write_many(int count, std::size_t value_bytes) {
    for (int i = 0; i < count; ++i)
      REQUIRE(write("k" + std::to_string(position + 1), std::string(value_bytes, 'v')));
  }

  std::unique_ptr<LogWriter> log;
  Position position = 0;
  std::uint64_t sequence = 0;
};

// "position:key" of every record that a start would replay.
class Replayed : public LogVisitor {
 public:
  void record(const CollectionRef&, Bytes key, const RecordView&, bool) override {
    keys.push_back(std::to_string(position) + ":" + std::string(key));
  }
  void contexts(const CollectionRef&, const Context&, const Context&) override {}
  void erased(const CollectionRef&) override {}
  void forgotten(const CollectionRef&, const Context&, std::uint64_t) override {}

  Position position = 0;
  std::vector<std::string> keys;
};

inline std::vector<std::string> replay(const LogFound& found, Position after = 0) {
  Replayed replayed;
  const Status status = replay_log(found, after, [&](const FrameHead& head, Bytes body) {
    replayed.position = head.position;
    return visit_frame(body, {found.node, found.id.run, found.id.loop}, replayed);
  });
  REQUIRE_MESSAGE(status, (status ? "" : status.error().message));
  return replayed.keys;
}

inline std::vector<std::string> positions_and_keys(Position first, Position last) {
  std::vector<std::string> keys;
  for (Position i = first; i <= last; ++i)
    keys.push_back(std::to_string(i) + ":k" + std::to_string(i));
  return keys;
}

// Counts calls of `wake`, and waits for them.
class Wakes {
 public:
  std::function<void()> hook() {
    return [this] {
      const std::lock_guard lock(mutex_);
      ++count_;
      changed_.notify_all();
    };
  }
  template <typename Condition>
  void wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, condition);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

inline std::vector<LogFound> must_find(const std::string& directory) {
  auto logs = find_logs(directory, false);
  REQUIRE_MESSAGE(logs, (logs ? "" : logs.error().message));
  return *logs;
}

inline LogFound must_find_one(const std::string& directory) {
  auto logs = must_find(directory);
  REQUIRE(logs.size() == 1);
  return logs.front();
}

inline std::string segment_path(const std::string& directory, std::uint64_t segment) {
  return directory + "/" + segment_file_name({log_id, segment});
}

}  // namespace dhrt::test
