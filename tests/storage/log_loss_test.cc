// What outlasts a power cut, and what a log says that does not know: its disk failed.
#include <atomic>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <thread>
#include <unistd.h>

#include "storage/log_writer.h"
#include "tests/storage/log_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

// Makes every sync of this file fail, by putting a pipe in its place.
void break_syncs_of(const std::string& path) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code code;
    const auto target = std::filesystem::read_symlink(entry.path(), code);
    if (!code && target == path) ::dup2(ends[1], std::stoi(entry.path().filename().string()));
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace

TEST_CASE("log: a sync that fails in a commit kills it, even if the next one would not") {
  const TemporaryDirectory directory;
  std::atomic<bool> broken{false};
  Wakes wakes;
  LogOptions options = log_options(directory.path());
  options.wake = wakes.hook();
  options.sync_file = [&](LogFile& file) -> Status {
    return broken ? fail(ErrorCode::io, "sync log segment " + file.path() + ": broken") : Status{};
  };
  SUBCASE("on the loop") {}
  SUBCASE("on the thread") {
    options.inline_sync_max = Duration{0};
  }
  LogBench bench(options);
  bench.write_many(1, 10);
  wakes.wait_until([&] { return bench.log->synced() == 1; });
  broken = true;
  bench.write_many(1, 10);
  wakes.wait_until([&] { return !bench.log->health(); });
  broken = false;
  CHECK(bench.log->health().error().message.find("broken; nobody knows") != std::string::npos);
  bench.log->commit(3);
  bench.add("k4", "v");
  bench.log->commit(4);
  CHECK(!bench.log->sync_now());
  CHECK(!bench.log->reserve(1, true));
  CHECK(bench.log->written() == 2);
  CHECK(bench.log->synced() == 1);
}

namespace {

// What the disk holds of each file: what the file was when its last sync began.
class ForgetfulDisk {
 public:
  Status sync(LogFile& file) {
    std::string bytes = read_all(file.path());
    const std::lock_guard lock(mutex_);
    kept_[std::filesystem::path(file.path()).filename().string()] = std::move(bytes);
    return {};
  }
  void cut_power(const std::string& directory) {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, bytes] : kept_)
      write_all(directory + "/" + name, bytes);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> kept_;
};

}  // namespace

TEST_CASE("log: whatever is called synced outlasts a power cut at any moment") {
  const TemporaryDirectory directory;
  ForgetfulDisk disk;
  LogOptions options = log_options(directory.path());
  options.sync_file = [&](LogFile& file) { return disk.sync(file); };
  bool has_interval = false;
  SUBCASE("synced on the loop") {}
  SUBCASE("synced on the thread") {
    options.inline_sync_max = Duration{0};
  }
  SUBCASE("synced by somebody else") {
    options.durability = Durability::interval;
    has_interval = true;
  }
  LogBench bench(options);
  std::atomic<bool> done{false};
  std::thread others([&] {
    while (!done) {
      if (has_interval) CHECK(bench.log->sync_now());
      const Position promised = bench.log->synced();
      if (promised == 0) continue;
      const TemporaryDirectory after;
      disk.cut_power(after.path());
      const LogFound found = must_find_one(after.path());
      // A position without a frame follows every tenth.
      CHECK(found.last >= promised - (promised % 11 == 0 ? 1 : 0));
      CHECK(found.begins_after == 0);
      bench.log->release(promised / 2);
      if (!has_interval) CHECK(bench.log->sync_now());
    }
  });
  for (int i = 0; i < 60; ++i) {
    bench.write_many(10, 200);
    bench.log->commit(++bench.position);
  }
  done = true;
  others.join();
  REQUIRE(bench.log->sync_now());
  CHECK(bench.log->synced() == 660);
}

TEST_CASE("log: after a failed write it is dead, and what was synced before is read again") {
  const TemporaryDirectory directory;
  Wakes wakes;
  LogOptions options = log_options(directory.path());
  options.wake = wakes.hook();
  LogBench bench(options);
  bench.write_many(3, 100);
  {
    const FileSizeLimit limit(100);
    bench.write_many(1, 100);
  }
  const Status health = bench.log->health();
  REQUIRE(!health);
  CHECK(health.error().code == ErrorCode::io);
  CHECK(health.error().message.find(segment_path(directory.path(), 1)) != std::string::npos);
  CHECK(health.error().message.find("start the node again") != std::string::npos);
  CHECK(bench.log->written() == 3);
  CHECK(bench.log->synced() == 3);
  const Status refused = bench.log->reserve(10, false);
  REQUIRE(!refused);
  CHECK(refused.error().message == health.error().message);
  bench.add("late", "v");
  bench.log->commit(5);
  CHECK(bench.log->frame().empty());
  CHECK(bench.log->synced() == 3);
  CHECK(!bench.log->sync_now());
  CHECK(replay(must_find_one(directory.path())) == positions_and_keys(1, 3));
}

TEST_CASE("log: after a failed sync nothing counts as synced any more") {
  const TemporaryDirectory directory;
  Wakes wakes;
  LogOptions options = log_options(directory.path());
  options.wake = wakes.hook();
  SUBCASE("on the loop") {}
  SUBCASE("on the thread") {
    options.inline_sync_max = Duration{0};
  }
  LogBench bench(options);
  bench.write_many(1, 100);
  wakes.wait_until([&] { return bench.log->synced() == 1; });
  break_syncs_of(std::filesystem::canonical(segment_path(directory.path(), 1)).string());
  bench.add("k2", "v");
  // A pipe cannot be written to at an offset either; a sync alone is asked for by an interval.
  bench.log->commit(2);
  wakes.wait_until([&] { return !bench.log->health(); });
  CHECK(bench.log->health().error().code == ErrorCode::io);
  CHECK(bench.log->synced() == 1);
}

TEST_CASE("log: a sync that fails alone kills it, too") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.durability = Durability::interval;
  const std::string path =
      std::filesystem::canonical(directory.path()).string() + "/" + segment_file_name({log_id, 1});
  options.before_sync = [&] { break_syncs_of(path); };
  LogBench bench(options);
  bench.write_many(2, 100);
  const Status status = bench.log->sync_now();
  REQUIRE(!status);
  CHECK(status.error().message.find("sync log segment") == 0);
  CHECK(status.error().code == ErrorCode::io);
  CHECK(!bench.log->health());
  CHECK(bench.log->written() == 2);
  CHECK(bench.log->synced() == 0);
  CHECK(!bench.log->reserve(1, true));
}
