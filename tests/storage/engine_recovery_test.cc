// What a start finds after the process ended, the power was cut, or all was well.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "storage/base/random.h"
#include "storage/collection_file.h"
#include "storage/log_file.h"
#include "tests/storage/copied_files.h"
#include "tests/storage/engine_life.h"

namespace dhrt::test {
namespace {

struct Life : EngineLife {
  // The process ends as it is; what was written to the logs is in the page cache.
  void crash() {
    engine.reset();
    ++options.run;
    engine = open_engine(options);
  }
  void stop_and_start() {
    must(engine->stop());
    crash();
  }
  std::string value(const std::string& key) {
    const auto record = must(users().find(key));
    if (!record) return "(none)";
    return record->deleted ? "(deleted)" : record->value;
  }
};

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  return names;
}

TEST_CASE("engine recovery: everything that was in the logs is there again") {
  Life life;
  std::string before;
  {
    Collection& users = life.users();
    KeyedRecord mortal = put("mortal", "v", {here, 1});
    mortal.record.deadline = noon + 10;
    must(life.store().append(
        users, batch_of({mortal, put("a", "1", {here, 2}), put("b", "2", {there, 1})})));
    must(life.store().append(users, batch_of({tombstone("b", {here, 3})})));
    must(life.store().append(
        users, {.puts = {}, .seen = context_of(there, 9, 9), .flushed = context_of(there, 1, 1)}));
    set_own(life.store(), users, "own", "mine", own_origin());
    opened(life.store(), "others", false, 7);
    opened(life.store(), "transient", true);
    life.settle();
    before = describe(users);
  }
  const auto check = [&] {
    Collection& users = life.users();
    CHECK(describe(users) == before);
    CHECK(users.durable() == users.seen());
    CHECK(users.highest_hlc() == (noon << hlc_counter_bits) + 3);
    REQUIRE(life.store().find("others") != nullptr);
    CHECK(life.store().find("others")->ref() == CollectionRef{"others", 7});
    CHECK(life.store().find("transient") == nullptr);
  };
  SUBCASE("after the process ended") {
    life.crash();
    CHECK(life.notes().find("5 records; 4 were not in the files") != std::string::npos);
    CHECK(life.engine->figures().replayed_records == 4);
    check();
  }
  SUBCASE("after it ended twice") {
    life.crash();
    life.crash();
    check();
  }
  SUBCASE("after it ended with everything in the files as well") {
    must(life.engine->checkpoint());
    life.crash();
    CHECK(life.engine->figures().replayed_records == 0);
    check();
  }
  SUBCASE("after a clean stop, from the files alone") {
    must(life.engine->stop());
    CHECK(files_in(life.directory.file("log")).empty());
    life.crash();
    CHECK(life.notes().empty());
    check();
  }
  life.store().maintain(noon + 5, 100);
  CHECK(life.value("mortal") == "v");
  life.store().maintain(noon + 10, 100);
  CHECK_MESSAGE(life.value("mortal") == "(deleted)", "its deadline survived as well");
}

TEST_CASE("engine recovery: what was not written is lost, and nothing else") {
  Life life;
  set_own(life.store(), life.users(), "a", "1", own_origin());
  life.settle();
  set_own(life.store(), life.users(), "a", "2", own_origin());
  set_own(life.store(), life.users(), "b", "2", own_origin());
  CHECK(life.value("a") == "2");
  life.crash();
  CHECK(life.value("a") == "1");
  CHECK(life.value("b") == "(none)");
  CHECK(life.users().seen() == context_of(own_origin(), 1, 1));
  CHECK(life.users().counts().live == 1);
}

TEST_CASE("engine recovery: a power cut leaves what was synced") {
  Life life;
  must(life.engine->stop());
  life.options.durability = Durability::interval;
  life.options.sync_interval = Duration{3'600'000};
  life.crash();
  const Origin own = own_origin(2);
  for (int i = 0; i < 50; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), "synced", own);
  life.settle();
  const std::string saved = life.directory.file("log.saved");
  copy_as_they_are(life.directory.file("log"), saved);

  for (int i = 0; i < 30; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), "lost", own);
  life.store().commit();
  life.store().collect();
  CHECK_MESSAGE(life.users().durable() == context_of(own, 1, 50), "no sync, no promise");
  CHECK(life.users().seen() == context_of(own, 1, 80));
  const WalkSlice walked = must(life.users().walk({}));
  for (const KeyedRecord& entry : walked.records)
    CHECK(entry.record.dot.sequence <= 50);
  // What was replaced by writes that may be lost is not to be taken for seen.
  CHECK(walked.durable == context_of(own, 31, 50));

  life.engine.reset();
  std::filesystem::remove_all(life.directory.file("log"));
  std::filesystem::rename(saved, life.directory.file("log"));
  life.crash();
  CHECK(life.value("k3") == "synced");
  CHECK(life.users().seen() == context_of(own, 1, 50));
  CHECK(life.users().counts().live == 50);
}

TEST_CASE("engine recovery: what a checkpoint wrote is never ahead of the logs") {
  Life life;
  must(life.engine->stop());
  life.options.durability = Durability::none;
  life.crash();
  for (int i = 0; i < 100; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), "v", own_origin(2));
  life.store().commit();
  CHECK(life.engine->figures().logs[0].synced < life.engine->figures().logs[0].appended);
  must(life.engine->checkpoint());
  CHECK(life.engine->figures().logs[0].synced == life.engine->figures().logs[0].appended);
}

TEST_CASE("engine recovery: a collection that was erased stays away") {
  Life life;
  set_own(life.store(), life.users(), "a", "old", own_origin());
  life.settle();
  SUBCASE("when it had a file") {
    must(life.engine->checkpoint());
  }
  SUBCASE("when it had none") {}
  must(life.store().erase("users"));
  SUBCASE("and was made again") {
    Collection& again = opened(life.store(), "users", false, 2);
    must(life.store().append(again, batch_of({put("b", "new", {here, 1})})));
    life.settle();
    life.crash();
    REQUIRE(life.store().find("users") != nullptr);
    CHECK(life.store().find("users")->ref().generation == 2);
    life.stop_and_start();
    Collection* users = life.store().find("users");
    REQUIRE(users != nullptr);
    CHECK(!must(users->find("a")).has_value());
    CHECK(must(users->find("b"))->value == "new");
    return;
  }
  life.settle();
  life.crash();
  CHECK(life.store().find("users") == nullptr);
  CHECK(life.store().collections().empty());
  life.stop_and_start();
  CHECK(files_in(life.directory.file("collections")).size() <= 1);  // Its lock.
}

TEST_CASE("engine recovery: until an erasure is durable, what it erases is") {
  std::atomic<bool> erases = false;
  std::promise<void> erased;
  Life life;
  must(life.engine->stop());
  life.options.durability = Durability::none;
  // In the middle of a checkpoint: the records were copied, and no file has them.
  life.options.before_sync = [&] {
    if (!erases.exchange(false)) return;
    must(life.store().erase("users"));
    erased.set_value();
  };
  life.crash();
  const Origin own = own_origin(2);
  set_own(life.store(), life.users(), "a", "kept", own);
  // Its segment of the log is full, and could go.
  for (int i = 0; i < 4; ++i) {
    set_own(life.store(), life.users(), "b", std::string(std::size_t{600} << 10, 'b'), own);
    life.settle();
  }
  set_own(life.store(), life.users(), "b", "not synced", own);
  life.store().commit();

  erases = true;
  auto checkpoint = std::async(std::launch::async, [&] { return life.engine->checkpoint(); });
  erased.get_future().wait();
  CHECK_MESSAGE(checkpoint.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout,
                "it waits for the end of the turn that erased");
  const TemporaryDirectory died;
  copy_as_they_are(life.directory.path(), died.path());
  life.store().commit();
  CHECK(checkpoint.get().has_value());
  life.crash();
  CHECK_MESSAGE(life.store().find("users") == nullptr, "the erasure came through");

  EngineStore left(open_engine(engine_options(died.path(), life.options.run + 1)));
  Collection* users = left.find("users");
  REQUIRE(users != nullptr);
  const auto kept = must(users->find("a"));
  REQUIRE(kept);
  CHECK(kept->value == "kept");
}

TEST_CASE("engine recovery: what is in the way of a new file goes, and half of one too") {
  Life life;
  const std::string path = life.directory.file("collections/users.mdb");
  set_own(life.store(), life.users(), "a", "1", own_origin());
  life.settle();
  SUBCASE("the file of a collection that was erased, whose removal failed") {
    must(life.engine->checkpoint());
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    must(life.store().erase("users"));
    life.settle();
    must(life.engine->checkpoint());
    CHECK(!std::filesystem::exists(path));
    std::ofstream(path, std::ios::binary) << bytes;
    opened(life.store(), "users", false, 2);
    set_own(life.store(), *life.store().find("users"), "a", "2", own_origin());
    life.settle();
    must(life.engine->checkpoint());
    life.crash();
    REQUIRE(life.store().find("users") != nullptr);
    CHECK(life.store().find("users")->ref().generation == 2);
    CHECK(must(life.store().find("users")->find("a"))->value == "2");
  }
  SUBCASE("what the process left of a file when it ended") {
    const std::string unfinished = LmdbEnv::unfinished_path(path);
    std::ofstream(unfinished) << "half";
    std::ofstream(unfinished + "-lock") << "half";
    life.crash();
    CHECK(!std::filesystem::exists(unfinished));
    CHECK(!std::filesystem::exists(unfinished + "-lock"));
    CHECK(life.value("a") == "1");
  }
}

TEST_CASE("engine recovery: an erased file that cannot be removed is removed later") {
  Life life;
  const std::string path = life.directory.file("collections/users.mdb");
  set_own(life.store(), life.users(), "a", "1", own_origin());
  life.settle();
  must(life.engine->checkpoint());
  must(life.store().erase("users"));
  life.settle();
  // A folder that is not empty cannot be removed, whoever asks.
  std::filesystem::remove(path);
  std::filesystem::create_directories(path + "/inside");
  CHECK(!life.engine->checkpoint());
  std::filesystem::remove(path + "/inside");
  must(life.engine->checkpoint());
  CHECK_MESSAGE(!std::filesystem::exists(path), "though no collection is left");
}

TEST_CASE("engine recovery: a flush that was logged holds, swept or not") {
  Life life;
  for (int i = 0; i < 200; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), "v", own_origin());
  life.settle();
  SUBCASE("with the records in the logs") {}
  SUBCASE("with the records in the file") {
    life.stop_and_start();
  }
  Batch flush;
  flush.flushed = life.users().seen();
  must(life.store().append(life.users(), std::move(flush)));
  CHECK(life.users().counts().live == 0);
  life.settle();
  life.crash();
  CHECK(life.value("k7") == "(deleted)");
  CHECK(life.users().counts().live == 0);
  CHECK(life.users().counts().tombstones == 200);
  while (life.store().maintain(noon, 50)) {
  }
  CHECK(life.users().counts().tombstones == 200);
  life.stop_and_start();
  CHECK(life.value("k7") == "(deleted)");
  CHECK(life.users().counts().live == 0);
  CHECK(life.users().counts().tombstones == 200);
}

void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(bytes.find(from) != std::string::npos);
  while (bytes.find(from) != std::string::npos)
    bytes.replace(bytes.find(from), from.size(), to);
  file.seekp(0);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_CASE("engine recovery: a damaged value is told apart, and healed by the same write") {
  Life life;
  must(life.store().append(
      life.users(), batch_of({put("a", "precious", {here, 1}), put("b", "intact", {here, 2})})));
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  replace_in_file(life.directory.file("collections/users.mdb"), "precious", "prexious");
  life.crash();
  const auto damaged = must(life.users().find("a"));
  REQUIRE(damaged.has_value());
  CHECK(damaged->damaged);
  CHECK(damaged->value.empty());
  CHECK(damaged->dot == Dot{here, 1});
  CHECK(life.value("b") == "intact");
  CHECK(must(life.users().walk({})).records.size() == 2);
  CHECK(must(life.users().scan({.now = noon})).records.size() == 2);
  CHECK(life.engine->figures().quarantined > 0);

  must(life.store().append(life.users(),
                           {.puts = {put("a", "precious", {here, 1})}, .seen = {}, .flushed = {}}));
  life.settle();
  CHECK(life.value("a") == "precious");
  SUBCASE("and stays healed by its log") {
    life.crash();
  }
  SUBCASE("and stays healed in its file") {
    life.stop_and_start();
  }
  CHECK(life.value("a") == "precious");
}

TEST_CASE("engine recovery: a torn end is cut and told, damage before it refuses the start") {
  Life life;
  for (int i = 0; i < 20; ++i) {
    set_own(life.store(), life.users(), "k" + std::to_string(i), std::string(100, 'v'),
            own_origin());
    life.settle();
  }
  life.engine.reset();
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(life.directory.file("log"))) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.find("k19v") != std::string::npos || bytes.find("k19") != std::string::npos)
      path = entry.path();
  }
  REQUIRE(!path.empty());
  ++life.options.run;
  SUBCASE("damage") {
    replace_in_file(path, "k5", "K5");
    const auto refused = Engine::open(life.options);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::corrupt);
    CHECK(refused.error().message.find(path) != std::string::npos);
  }
  SUBCASE("a torn end") {
    replace_in_file(path, "k19", "K19");
    life.engine = open_engine(life.options);
    CHECK(life.value("k18").size() == 100);
    CHECK(life.value("k19") == "(none)");
    CHECK(life.users().seen() == context_of(own_origin(), 1, 19));
    CHECK(life.engine->figures().torn_bytes_cut > 0);
    CHECK(life.notes().find("cut off") != std::string::npos);
  }
}

TEST_CASE("engine recovery: a first segment that is missing was released, or is damage") {
  Life life;
  life.options.log_segment_bytes = 4096;
  life.crash();
  const auto write = [&life](int count) {
    const Origin origin = own_origin(life.options.run);
    for (int i = 0; i < count; ++i) {
      set_own(life.store(), life.users(), "k" + std::to_string(i), std::string(500, 'v'), origin);
      life.settle();
    }
  };
  const auto refused = [&life] {
    ++life.options.run;
    const auto engine = Engine::open(life.options);
    return engine ? std::string() : engine.error().message;
  };
  const auto remove_first = [&life] {
    auto names = files_in(life.directory.file("log"));
    std::ranges::sort(names);
    REQUIRE(names.size() > 3);
    std::filesystem::remove(life.directory.file("log/" + names.front()));
    return names[1];
  };
  write(40);
  SUBCASE("nothing was released") {
    life.engine.reset();
    const std::string next = remove_first();
    const std::string message = refused();
    CHECK(message.find("is missing before") != std::string::npos);
    CHECK(message.find(next) != std::string::npos);
    CHECK(message.find("put the segment back") != std::string::npos);
  }
  SUBCASE("something was released, but not all that is missing") {
    must(life.engine->checkpoint());
    write(40);
    life.crash();
    CHECK_MESSAGE(life.value("k39").size() == 500, "what is released is not missing");
    life.engine.reset();
    remove_first();
    CHECK(refused().find("is missing before") != std::string::npos);
  }
  SUBCASE("an old log whose removal was interrupted") {
    life.crash();
    const std::string old = life.directory.file("old");
    copy_as_they_are(life.directory.file("log"), old);
    must(life.engine->checkpoint());
    life.engine.reset();
    int copied = 0;
    auto names = files_in(old);
    std::ranges::sort(names);
    for (const std::string& name : names) {
      if (!parse_segment_file_name(name) || copied++ == 0) continue;
      std::filesystem::copy(old + "/" + name, life.directory.file("log/" + name),
                            std::filesystem::copy_options::skip_existing);
    }
    CHECK(copied > 3);
    life.crash();
    CHECK(life.value("k39").size() == 500);
  }
  SUBCASE("a clean stop leaves no mark") {
    must(life.engine->stop());
    CHECK(files_in(life.directory.file("log")).empty());
    life.crash();
    CHECK(life.value("k39").size() == 500);
  }
}

TEST_CASE("engine recovery: a start that is older than its data is refused") {
  Life life;
  set_own(life.store(), life.users(), "a", "1", own_origin());
  life.settle();
  life.engine.reset();
  const auto refused = Engine::open(life.options);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::precondition);
}

TEST_CASE("engine recovery: random writes, checkpoints and ends of the process lose nothing") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Life life;
    must(life.engine->stop());
    life.options.loops = 3;
    life.options.cache_bytes = seed % 2 == 0 ? 4000 : std::size_t{1} << 30;
    life.crash();
    std::map<std::string, std::string> expected;
    for (int step = 0; step < 300; ++step) {
      const auto loop = static_cast<std::uint16_t>(random.below(3));
      const std::string key = "k" + std::to_string(random.below(40));
      const bool deletes = random.chance(0.2);
      const std::string value = deletes ? "(deleted)" : std::to_string(step);
      set_own(life.store(loop), life.users(), key, deletes ? "" : value,
              own_origin(life.options.run, loop), deletes);
      expected[key] = value;
      if (random.chance(0.3)) life.settle();
      if (random.chance(0.05)) {
        life.settle();
        must(life.engine->checkpoint());
      }
      if (random.chance(0.05)) {
        life.settle();
        random.chance(0.3) ? life.stop_and_start() : life.crash();
        std::uint64_t live = 0;
        for (const auto& [written, holds] : expected) {
          CHECK(life.value(written) == holds);
          live += holds == "(deleted)" ? 0 : 1;
        }
        CHECK(life.users().counts().live == live);
        CHECK(life.users().counts().tombstones == expected.size() - live);
        CHECK(must(life.users().walk({})).records.size() == expected.size());
        CHECK(must(life.users().scan({.now = noon})).records.size() == live);
        CHECK(life.users().durable() == life.users().seen());
      }
    }
  }
}

}  // namespace
}  // namespace dhrt::test
