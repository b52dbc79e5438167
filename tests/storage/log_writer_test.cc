// The log as it is written: what is promised when, on disks that are good, slow and full.
#include "storage/log_writer.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "storage/base/system_clock.h"
#include "storage/log_segments.h"
#include "tests/storage/log_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

// A disk that waits until it is told to go on.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_ > 0; });
    --open_;
  }
  void open(int times = 1) {
    const std::lock_guard lock(mutex_);
    open_ += times;
    changed_.notify_all();
  }
  // Until so many came to it in all.
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  int open_ = 0;
};

std::size_t count_ending(const std::string& directory, Bytes ending) {
  const auto names = file_names(directory);
  return static_cast<std::size_t>(
      std::ranges::count_if(names, [&](const auto& name) { return name.ends_with(ending); }));
}

}  // namespace

TEST_CASE("log: what is committed is synced at once, and replayed") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  CHECK(bench.log->synced() == 0);
  bench.add("k1", "a");
  bench.log->commit(1);
  CHECK(bench.log->written() == 1);
  CHECK(bench.log->synced() == 1);
  bench.position = 1;
  bench.write_many(2, 10);
  CHECK(bench.log->synced() == 3);
  CHECK(bench.log->figures().frames == 3);
  CHECK(bench.log->figures().syncs == 3);
  CHECK(!bench.log->figures().sync_thread);

  const LogFound found = must_find_one(directory.path());
  CHECK(found.id == log_id);
  CHECK(found.node == log_node);
  CHECK(found.last == 3);
  CHECK(found.synced == 2);
  CHECK(found.begins_after == 0);
  CHECK(found.bytes_cut == 0);
  CHECK(replay(found) == positions_and_keys(1, 3));
  CHECK(replay(found, 2) == positions_and_keys(3, 3));
  CHECK(replay(found, 3).empty());
}

TEST_CASE("log: a turn without writes has a position, but no frame") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  bench.log->commit(1);
  CHECK(bench.log->synced() == 1);
  CHECK(bench.log->figures().syncs == 0);
  bench.position = 1;
  bench.write_many(1, 10);
  bench.log->commit(5);
  CHECK(bench.log->written() == 5);
  CHECK(bench.log->synced() == 5);
  bench.position = 6;
  bench.write_many(2, 10);
  CHECK(bench.log->figures().frames == 3);
  const LogFound found = must_find_one(directory.path());
  CHECK(replay(found) == std::vector<std::string>{"2:k2", "7:k7", "8:k8"});
  CHECK(found.synced == 7);
}

TEST_CASE("log: it goes on in as many segments as it takes, whatever the size of a frame") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  bench.write_many(30, 500);
  bench.write_many(1, 100'000);  // A segment for itself.
  bench.write_many(30, 500);
  CHECK(bench.log->synced() == 61);
  CHECK(bench.log->figures().segments > 8);
  const LogFound found = must_find_one(directory.path());
  CHECK(found.bytes_cut == 0);
  CHECK(found.files.size() == bench.log->figures().segments);
  CHECK(replay(found) == positions_and_keys(1, 61));
}

TEST_CASE("log: little is filled ahead of a log that little is written to") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.segment_bytes = std::size_t{16} << 20;
  const auto size_of = [&](std::uint64_t segment) {
    return std::filesystem::file_size(segment_path(directory.path(), segment));
  };
  LogBench bench(options);
  bench.write_many(10, 1000);
  CHECK(file_names(directory.path()).size() == 1);
  CHECK(size_of(1) == LogSegments::first_bytes);
  bench.write_many(20, std::size_t{64} << 10);
  CHECK(size_of(1) == LogSegments::first_bytes);
  CHECK_MESSAGE(size_of(2) >= std::size_t{4} << 20, "what is used has its blocks beforehand");
  CHECK(replay(must_find_one(directory.path())) == positions_and_keys(1, 30));
}

TEST_CASE("log: its first frame may be larger than a segment") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  bench.write_many(1, 100'000);
  bench.write_many(10, 500);
  const LogFound found = must_find_one(directory.path());
  CHECK(replay(found) == positions_and_keys(1, 11));
}

TEST_CASE("log: a turn that outgrows its segment asks for space a few times, not for each record") {
  const TemporaryDirectory directory;
  LogSegments segments(directory.path(), {.run = 1}, 1, 64 << 10);
  auto made = segments.next(64 << 10);
  REQUIRE(made);
  LogSegment& segment = **made;
  int enlarged = 0;
  for (std::size_t bytes = 64 << 10; bytes < 8 << 20; bytes += 500) {
    const std::size_t before = segment.capacity;
    REQUIRE(segments.enlarge(segment, bytes));
    CHECK(segment.capacity >= bytes);
    enlarged += segment.capacity > before ? 1 : 0;
  }
  CHECK(enlarged <= 42);
}

TEST_CASE("log: where the disk has less than is asked for ahead, what is needed is enough") {
  const SmallDisk disk("2m");
  LogSegments segments(disk.path(), {.run = 1}, 1, 1900 << 10);
  auto made = segments.next(1900 << 10);
  REQUIRE(made);
  LogSegment& segment = **made;
  REQUIRE(segments.enlarge(segment, 2000 << 10));
  CHECK(segment.capacity == 2000 << 10);
}

TEST_CASE("log: released segments are used again, and what was in them is not replayed") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  for (int round = 0; round < 40; ++round) {
    bench.write_many(10, 300);
    const Position kept = bench.position - 3;
    bench.log->release(kept);
    CHECK(bench.log->figures().segments <= 3);
    // Used, the next one, and spares.
    CHECK(file_names(directory.path()).size() <= 3 + 1 + LogSegments::spares_max);
    const LogFound found = must_find_one(directory.path());
    CHECK(found.begins_after <= kept);
    CHECK(found.bytes_cut == 0);
    CHECK(replay(found) == positions_and_keys(found.begins_after + 1, bench.position));
  }
  CHECK(bench.log->figures().bytes_unreleased < 3 * 4096);
  CHECK(bench.log->synced() == 400);
}

TEST_CASE("log: a segment has a header before its first frame, and another salt in each life") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  std::map<std::string, std::uint64_t> salts;
  for (int round = 0; round < 60; ++round) {
    bench.write_many(4, 300);
    for (const std::string& name : file_names(directory.path())) {
      const auto header = decode_segment_header(read_all(directory.file(name)));
      const auto parsed = parse_segment_file_name(name);
      if (!parsed || !header) continue;  // A spare, or not ready yet.
      CHECK(header->segment == parsed->segment);
      CHECK(salts.try_emplace(name, header->salt).first->second == header->salt);
    }
    bench.log->release(bench.position - 1);
  }
  std::vector<std::uint64_t> different;
  for (const auto& [name, salt] : salts)
    different.push_back(salt);
  std::ranges::sort(different);
  CHECK(std::ranges::adjacent_find(different) == different.end());
  CHECK(different.size() > 20);
}

TEST_CASE("log: what is not synced is not released, and the current segment never is") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.durability = Durability::none;
  LogBench bench(options);
  bench.write_many(20, 500);
  const auto before = bench.log->figures().segments;
  bench.log->release(20);
  CHECK(bench.log->figures().segments == before);
  REQUIRE(bench.log->sync_now());
  bench.log->release(20);
  CHECK(bench.log->figures().segments == 1);
  CHECK(replay(must_find_one(directory.path())).back() == "20:k20");
}

TEST_CASE("log: a segment is released when something behind it is synced, so that a tear is one") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.durability = Durability::none;
  LogBench bench(options);
  bench.write_many(1, 2900);
  REQUIRE(bench.log->sync_now());
  bench.write_many(2, 1500);  // In the second segment, and not synced.
  REQUIRE(bench.log->figures().segments == 2);
  bench.log->release(1);
  // A crash tears the second segment's first frame, with its header or without.
  const std::string path = segment_path(directory.path(), 2);
  std::string bytes = read_all(path);
  std::size_t torn_at = 512;
  SUBCASE("with its header") {
    torn_at = 0;
  }
  SUBCASE("without") {}
  bytes.replace(torn_at, 512, 512, '\0');
  write_all(path, bytes);
  const LogFound found = must_find_one(directory.path());
  CHECK(found.last == 1);
  CHECK(replay(found) == positions_and_keys(1, 1));
}

TEST_CASE("log: an end of the writer leaves only what was written") {
  const TemporaryDirectory directory;
  {
    LogBench bench(log_options(directory.path()));
    bench.write_many(20, 300);
    bench.log->release(12);
  }
  CHECK(count_ending(directory.path(), ".spare") == 0);
  const LogFound found = must_find_one(directory.path());
  CHECK(found.files.size() == file_names(directory.path()).size());
  CHECK(found.last == 20);
}

TEST_CASE("log: a slow disk is waited for by a thread, which takes all there is as one group") {
  const TemporaryDirectory directory;
  Gate gate;
  Wakes wakes;
  LogOptions options = log_options(directory.path());
  options.before_sync = [&gate] { gate.pass(); };
  options.wake = wakes.hook();
  LogBench bench(options);
  bench.write_many(1, 10);
  gate.wait_for(1);
  bench.write_many(20, 500);  // Over several segments, while the disk is busy.
  CHECK(bench.log->written() == 21);
  CHECK(bench.log->synced() == 0);
  gate.open();
  wakes.wait_until([&] { return bench.log->synced() >= 1; });
  gate.wait_for(2);
  CHECK(bench.log->synced() == 1);
  gate.open();
  wakes.wait_until([&] { return bench.log->synced() == 21; });
  CHECK(bench.log->figures().syncs == 2);
  CHECK(bench.log->figures().sync_thread);
  bench.log->commit(22);  // Nothing to wait for.
  CHECK(bench.log->synced() == 22);
  // A frame says what was known to be synced when it was written.
  CHECK(must_find_one(directory.path()).synced == 0);
  bench.position = 22;
  gate.open();
  bench.write_many(1, 10);
  CHECK(must_find_one(directory.path()).synced == 21);
  gate.open(10);
}

TEST_CASE("log: with an interval somebody else syncs, whatever happens meanwhile") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.durability = Durability::interval;
  LogBench bench(options);
  std::atomic<bool> done{false};
  std::thread syncs([&] {
    while (!done) {
      const Position written = bench.log->written();
      CHECK(bench.log->sync_now());
      CHECK(bench.log->synced() >= written);
      bench.log->release(bench.log->synced());
      (void)bench.log->figures();
    }
  });
  bench.write_many(400, 300);
  done = true;
  syncs.join();
  REQUIRE(bench.log->sync_now());
  CHECK(bench.log->synced() == 400);
  const LogFound found = must_find_one(directory.path());
  CHECK(replay(found) == positions_and_keys(found.begins_after + 1, 400));
}

TEST_CASE("log: on a full disk writes are refused, deletes a little later, and then it recovers") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.segment_bytes = 64 << 10;
  LogBench bench(options);
  Position refused_at = 0;
  Position deletes_until = 0;
  {
    bench.write_many(1, 10);
    // The next one is being made ready from the start: use it up as well, then none can be made.
    while (bench.log->figures().segments < 2)
      bench.write_many(1, 1000);
    const FileSizeLimit limit((64 << 10) - 1);
    Status status;
    while ((status = bench.write("k" + std::to_string(bench.position + 1), std::string(1000, 'v'))))
      REQUIRE(bench.log->figures().segments < 5);
    CHECK(status.error().code == ErrorCode::full);
    CHECK(status.error().message.find("disk full") == 0);
    CHECK(status.error().message.find(directory.path()) != std::string::npos);
    CHECK(status.error().message.find("free some space") != std::string::npos);
    refused_at = bench.position;
    while (bench.write("k" + std::to_string(bench.position + 1), "", true))
      REQUIRE(bench.log->figures().segments < 5);
    deletes_until = bench.position;
    CHECK(bench.log->health());
  }
  CHECK(deletes_until > refused_at + 5);
  // Attempts are rare: the next ones are refused without one.
  while (!bench.write("k" + std::to_string(bench.position + 1), std::string(1000, 'v')))
    continue;
  CHECK(bench.log->health());
  CHECK(bench.log->synced() == deletes_until + 1);
  CHECK(replay(must_find_one(directory.path())) == positions_and_keys(1, deletes_until + 1));
}

TEST_CASE("log: a turn that is too large for one frame is told to commit first") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  const Status status = bench.log->reserve(log_frame_bytes_max, false);
  REQUIRE(!status);
  CHECK(status.error().code == ErrorCode::busy);
}

TEST_CASE("log: on a disk that is really full it refuses writes, and recovers by itself") {
  const SmallDisk disk("2m");
  LogOptions options = log_options(disk.path());
  options.segment_bytes = 256 << 10;
  LogBench bench(options);
  const auto write = [&](bool is_delete) {
    const std::string key = "k" + std::to_string(bench.position + 1);
    return bench.write(key, is_delete ? "" : std::string(1000, 'v'), is_delete);
  };
  Status status;
  while ((status = write(false)))
    REQUIRE(bench.position < 4000);
  CHECK(status.error().code == ErrorCode::full);
  CHECK(status.error().message.find("disk full") == 0);
  CHECK(status.error().message.find(disk.path()) != std::string::npos);
  const Position refused_at = bench.position;
  while (write(true))
    REQUIRE(bench.position < 40'000);
  const Position last = bench.position;
  CHECK(last > refused_at + 100);
  CHECK(bench.log->health());
  CHECK(bench.log->synced() == last);
  CHECK(replay(must_find_one(disk.path())) == positions_and_keys(1, last));
  // A checkpoint gives segments back: writing goes on.
  bench.log->release(refused_at);
  while (!write(false))
    continue;
  CHECK(bench.log->health());
  CHECK(bench.log->synced() == last + 1);
  const LogFound found = must_find_one(disk.path());
  CHECK(found.begins_after <= refused_at);
  CHECK(replay(found) == positions_and_keys(found.begins_after + 1, last + 1));
}

TEST_CASE("log: syncs move to the thread while they are slow on average, and come back") {
  const TemporaryDirectory directory;
  std::atomic<bool> slow{false};
  Wakes wakes;
  LogOptions options = log_options(directory.path());
  options.inline_sync_max = Duration{20};
  options.wake = wakes.hook();
  options.sync_file = [&](LogFile&) -> Status {
    const auto until = monotonic_microseconds() + std::chrono::microseconds(slow ? 200'000 : 0);
    while (monotonic_microseconds() < until)
      continue;
    return {};
  };
  LogBench bench(options);
  const auto write = [&] {
    bench.write_many(1, 10);
    wakes.wait_until([&] { return bench.log->synced() == bench.position; });
  };
  write();
  CHECK(!bench.log->figures().sync_thread);
  slow = true;
  write();  // Nobody can know before: 200 ms for an eighth are 25.
  CHECK(!bench.log->figures().sync_thread);
  write();
  CHECK(bench.log->figures().sync_thread);
  slow = false;
  int writes = 0;
  while (bench.log->figures().sync_thread && ++writes < 1000)
    write();
  CHECK(writes >= 2);
  CHECK(!bench.log->figures().sync_thread);
  CHECK(bench.log->figures().syncs == bench.position);
  CHECK(bench.log->health());
}

TEST_CASE("log: a run that was used before, or a directory that is not there, is refused") {
  const TemporaryDirectory directory;
  {
    LogBench bench(log_options(directory.path()));
    bench.write_many(1, 10);
  }
  const auto again = LogWriter::open(log_options(directory.path()));
  REQUIRE(!again);
  CHECK(again.error().code == ErrorCode::io);
  CHECK(again.error().message.find(segment_path(directory.path(), 1)) != std::string::npos);
  CHECK(!LogWriter::open(log_options(directory.file("missing"))));
}
