// Files whose pages are damaged: a start refuses them or sets them aside, a running engine does not
// use them any more.
#include <filesystem>
#include <fstream>
#include <thread>

#include "storage/base/system_clock.h"
#include "storage/lmdb_format.h"
#include "tests/storage/engine_life.h"
#include "tests/storage/lmdb_image.h"

namespace dhrt::test {
namespace {

// An engine over several starts, whose file of `users` is damaged in between.
struct Life : EngineLife {
  const std::string path = directory.file("collections/users.mdb");

  std::string value(const std::string& key) {
    const auto record = must(users().find(key));
    return record ? record->value : "(none)";
  }
  void set(const std::string& key, const std::string& value) {
    set_own(store(), users(), key, value, own_origin(options.run));
  }
  void crash() {
    settle();
    engine.reset();
    ++options.run;
  }
  void stop() {
    must(engine->stop());
    crash_stopped();
  }
  void crash_stopped() {
    engine.reset();
    ++options.run;
  }
  void start() { engine = open_engine(options); }
  // A leaf page of the log table says that it is something else. Nobody reads it in these tests.
  std::string damage() {
    LmdbImage image(path);
    std::uint64_t page = image.tree("log").root;
    if (image.tree("log").depth > 1)
      page = image.child(page, lmdb::node_count(image.page(page)) - 1);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(image.offset_of(page) + 10)).put('\x07');
    return "page " + std::to_string(page);
  }
  bool has(const std::string& name) const {
    return std::filesystem::exists(directory.file("collections/" + name));
  }
};

TEST_CASE("engine damage: a lone node refuses a damaged file, with the page and the cure") {
  Life life;
  life.set("a", "1");
  life.stop();
  const std::string page = life.damage();
  const auto refused = Engine::open(life.options);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::corrupt);
  CHECK(refused.error().message.find(life.path + " is damaged in " + page) == 0);
  CHECK(refused.error().message.find("restore the file from a backup, or add .damaged") !=
        std::string::npos);
  CHECK_MESSAGE(life.has("users.mdb"), "it is left as it is");
  SUBCASE("and goes on without it if told so") {
    std::filesystem::rename(life.path, life.path + ".damaged");
    life.start();
    CHECK(life.value("a") == "(none)");
    CHECK(life.notes().empty());
  }
}

TEST_CASE("engine damage: with other nodes the file is set aside, and the collection begins anew") {
  Life life;
  life.set("a", "1");
  life.stop();
  const std::string page = life.damage();
  const LmdbImage before(life.path);
  life.options.others_have_it = true;
  life.start();
  CHECK(life.notes().find(life.path + " is damaged in " + page) == 0);
  CHECK(life.notes().find("users.mdb.damaged now") != std::string::npos);
  CHECK(life.notes().find("backup") == std::string::npos);
  CHECK(LmdbImage(life.path + ".damaged").bytes == before.bytes);
  CHECK(!life.has("users.mdb"));
  CHECK(life.value("a") == "(none)");
  CHECK(life.users().seen().empty());
  life.set("b", "2");
  life.stop();
  life.start();
  CHECK(life.notes().empty());
  CHECK(life.value("b") == "2");
  SUBCASE("a second one does not take the place of the first") {
    life.stop();
    life.damage();
    life.start();
    CHECK(life.has("users.mdb.damaged-2"));
    CHECK(LmdbImage(life.path + ".damaged").bytes == before.bytes);
  }
}

TEST_CASE("engine damage: what the logs say was seen is not believed when the file is lost") {
  Life life;
  const auto seen = [&] { return life.users().seen().contains(Dot{there, 2}); };
  // Two records that a peer sent come into the file; then we have them all, says the log.
  must(life.store().append(
      life.users(),
      {.puts = {put("x", "1", {there, 1}), put("y", "2", {there, 2})}, .seen = {}, .flushed = {}}));
  life.settle();
  must(life.engine->checkpoint());
  must(life.store().append(life.users(),
                           {.puts = {}, .seen = context_of(there, 1, 2), .flushed = {}}));
  life.set("own", "mine");
  const Dot own{own_origin(life.options.run), 1};
  life.crash();
  life.options.others_have_it = true;
  SUBCASE("it is believed of a file that is whole") {
    life.start();
    CHECK(seen());
    CHECK(life.value("y") == "2");
    return;
  }
  SUBCASE("set aside by the start") {
    life.damage();
  }
  SUBCASE("set aside by hand") {
    std::filesystem::rename(life.path, life.path + ".damaged");
  }
  life.start();
  CHECK(!seen());
  CHECK_MESSAGE(life.value("own") == "mine", "what is in the log is kept, and was seen");
  CHECK(life.users().seen().contains(own));
  life.crash();
  life.start();
  CHECK_MESSAGE(!seen(), "nor by the next start");
  // The peer sends all of it once more.
  Batch again = batch_of({put("x", "1", {there, 1}), put("y", "2", {there, 2})});
  must(life.store().append(life.users(), std::move(again)));
  life.stop();
  life.start();
  CHECK_MESSAGE(seen(), "a new file is believed again");
  CHECK(life.value("y") == "2");
}

TEST_CASE("engine damage: a file of another format or name is never set aside") {
  Life life;
  life.set("a", "1");
  life.stop();
  life.options.others_have_it = true;
  std::string said;
  SUBCASE("another format") {
    LmdbImage image(life.path);
    const std::string format = "format" + encode_format();
    REQUIRE(image.bytes.find(format) != std::string::npos);
    for (auto at = image.bytes.find(format); at != std::string::npos;
         at = image.bytes.find(format, at + 1))
      image.bytes[at + 6] = 77;
    image.save(life.path);
    said = "has format 77";
  }
  SUBCASE("another name") {
    std::filesystem::rename(life.path, life.directory.file("collections/others.mdb"));
    said = "holds the collection 'users'";
  }
  const auto refused = Engine::open(life.options);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::precondition);
  CHECK(refused.error().message.find(said) != std::string::npos);
}

TEST_CASE("engine damage: the scrub finds it in a running engine, and other files go on") {
  Life life;
  for (int i = 0; i < 4000; ++i)
    life.set("k" + std::to_string(i), "value " + std::to_string(i));
  life.stop();
  // Slow enough to be at the beginning of the file when its end is damaged.
  life.options.scrub_bytes_per_second = std::size_t{128} << 10;
  life.start();
  const std::string page = life.damage();
  const Time patience = monotonic_now() + Duration(20'000);
  while (life.engine->figures().damaged_files.empty() && monotonic_now() < patience)
    std::this_thread::yield();
  const std::vector<std::string> damaged = life.engine->figures().damaged_files;
  REQUIRE(damaged.size() == 1);
  CHECK(damaged[0].find(life.path + " is damaged in " + page) == 0);

  Collection& others = opened(life.store(), "zebras", false);
  life.set("late", "1");
  set_own(life.store(), others, "late", "2", own_origin(life.options.run));
  life.settle();
  const Status checkpoint = life.engine->checkpoint();
  REQUIRE(!checkpoint);
  CHECK(checkpoint.error().message == damaged[0]);
  CHECK_MESSAGE(life.has("zebras.mdb"), "the others are written");
  CHECK(life.value("late") == "1");
  CHECK(!life.engine->stop());
  life.crash_stopped();
  life.options.others_have_it = true;
  life.start();
  CHECK_MESSAGE(life.value("late") == "1", "it was never let go from the log");
  CHECK(life.value("k1") == "(none)");
  CHECK(must(opened(life.store(), "zebras", false).find("late"))->value == "2");
}

}  // namespace
}  // namespace dhrt::test
