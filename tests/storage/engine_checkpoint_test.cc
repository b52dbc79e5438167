// When a checkpoint comes, and checkpoints of much, in parts.
#include <chrono>
#include <semaphore>

#include "storage/base/give_way.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

struct Life {
  TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  std::unique_ptr<Engine> engine;

  void start() {
    engine.reset();
    engine = open_engine(options);
    ++options.run;
  }
  Store& store() { return engine->store(0); }
  Collection& users() { return *must(store().open({.ref = {"users", 1}, .memory = false})); }
  void set(int first, int count, const std::string& value) {
    for (int i = first; i < first + count; ++i) {
      set_own(store(), users(), "k" + std::to_string(i), value, own_origin(options.run - 1));
      if (i % 16 != 0) continue;
      store().commit();
      store().collect();
    }
    must(store().drain());
    store().collect();
  }
  std::string value(int i) {
    const auto found = must(users().find("k" + std::to_string(i)));
    return found ? found->value : "(none)";
  }
};

// An engine whose checkpoints come by what is written alone, and are waited for.
struct Watched : Life {
  std::counting_semaphore<> begun{0};

  Watched() {
    options.checkpoint_bytes = 100'000;
    options.checkpoint_age = Duration{3'600'000};
    options.before_checkpoint = [this] { begun.release(); };
  }
  ~Watched() { engine.reset(); }
  bool comes() { return begun.try_acquire_for(std::chrono::seconds(10)); }
  // Of one key, again and again: hardly anything is dirty.
  void overwrite(int times) {
    for (int i = 0; i < times; ++i)
      set(1, 1, std::string(1000, 'v'));
  }
};

TEST_CASE("engine checkpoint: it comes when the log holds much, however little of it counts") {
  Watched life;
  life.start();
  life.overwrite(150);
  CHECK(life.engine->figures().unflushed_bytes < 10'000);
  CHECK(life.comes());
  life.overwrite(150);
  CHECK(life.comes());
}

TEST_CASE("engine checkpoint: what the logs of earlier starts hold counts") {
  Watched life;
  for (int kills = 0; kills < 2; ++kills) {
    life.start();
    life.overwrite(45);
  }
  CHECK(!life.begun.try_acquire());
  life.start();
  life.overwrite(45);
  CHECK(life.comes());
}

TEST_CASE("engine checkpoint: it copies a part at a time, however much is dirty") {
  Life life;
  life.options.checkpoint_bytes = std::size_t{1} << 30;
  life.options.checkpoint_part_bytes = std::size_t{1} << 20;
  life.start();
  const std::string large(std::size_t{16} << 10, 'v');
  life.set(0, 1000, large);
  REQUIRE(life.engine->figures().unflushed_bytes > std::size_t{15} << 20);
  must(life.engine->checkpoint());
  const EngineFigures figures = life.engine->figures();
  CHECK(figures.unflushed_bytes == 0);
  CHECK(figures.checkpoint_records == 1000);
  CHECK(figures.checkpoint_copy_bytes > std::size_t{1} << 20);
  CHECK(figures.checkpoint_copy_bytes < std::size_t{2} << 20);
  life.start();
  CHECK(life.engine->figures().replayed_records == 0);
  for (int i = 0; i < 1000; ++i)
    REQUIRE(life.value(i) == large);
}

TEST_CASE("engine checkpoint: it lists a part of the keys at a time, however many are dirty") {
  Life life;
  life.options.checkpoint_bytes = std::size_t{1} << 30;
  life.options.checkpoint_list_bytes = 20'000;
  life.options.checkpoint_part_bytes = 10'000;
  life.start();
  life.set(0, 5000, "first");
  must(life.engine->checkpoint());
  CHECK(life.engine->figures().checkpoint_copy_bytes < 60'000);
  CHECK(life.engine->figures().checkpoint_records == 5000);
  life.set(2000, 1000, "second");
  must(life.engine->checkpoint());
  CHECK(life.engine->figures().checkpoint_records == 6000);
  life.start();
  CHECK(life.engine->figures().replayed_records == 0);
  CHECK(life.users().counts().live == 5000);
  for (int i = 0; i < 5000; ++i)
    REQUIRE(life.value(i) == (i >= 2000 && i < 3000 ? "second" : "first"));
}

TEST_CASE(
    "engine checkpoint: it gives way to others while loops run, and to nobody when they ended") {
  Life life;
  life.options.checkpoint_bytes = std::size_t{1} << 30;
  life.options.checkpoint_age = Duration{3'600'000};
  std::vector<bool> gave_way;
  life.options.before_checkpoint = [&] { gave_way.push_back(gives_way()); };
  life.start();
  life.set(0, 10, "first");
  must(life.engine->checkpoint());
  life.set(0, 10, "second");
  must(life.engine->stop());
  REQUIRE(gave_way.size() >= 2);
  CHECK(gave_way.front());
  CHECK_FALSE(gave_way.back());
}

}  // namespace
}  // namespace dhrt::test
