#include "storage/log_table.h"

#include <map>

#include "storage/base/hash.h"
#include "storage/base/random.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

using Order = std::pair<std::uint16_t, std::uint64_t>;
using Dots = std::map<Order, std::string>;

struct LogBench {
  LogBench()
      : env(must(LmdbEnv::create({.path = directory.file("log.mdb")}, [](WriteTxn& txn) {
          txn.put(LmdbTable::meta, meta_key::format, encode_format());
        }))) {}

  // In parts of a page.
  void change(std::vector<LogChange> changes) {
    sort_log_changes(changes);
    for (std::size_t done = 0; done < changes.size();) {
      std::size_t now = 0;
      must(env->write(
          [&](WriteTxn& txn) { now = change_log(txn, std::span(changes).subspan(done), 1); }));
      REQUIRE(now > 0);
      done += now;
    }
  }
  Dots dots() {
    Dots found;
    const auto txn = must(ReadTxn::begin(*env));
    auto cursor = must(LmdbCursor::open(txn, LmdbTable::log));
    for (cursor.seek(""); cursor.valid(); cursor.next()) {
      const AliasDot first = parse_log_key(cursor.key()).value();
      const LogBlock block = decode_log_block(cursor.value()).value();
      for (std::size_t i = 0; i < block.size(); ++i)
        if (!block[i].empty()) found[{first.origin, first.sequence + i}] = block[i];
    }
    return found;
  }

  TemporaryDirectory directory;
  std::shared_ptr<LmdbEnv> env;
};

TEST_CASE("log table: agrees with a map, whatever is put and taken out") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    LogBench bench;
    Dots model;
    for (int round = 0; round < 20; ++round) {
      std::vector<std::string> keys(300);
      std::vector<LogChange> changes;
      std::map<Order, bool> touched;
      for (std::string& key : keys) {
        key = std::string(random.below(3) == 0 ? 200 : 1, 'k') + std::to_string(random.below(50));
        const AliasDot dot{static_cast<std::uint16_t>(random.below(2)), random.below(400)};
        if (touched[{dot.origin, dot.sequence}]) continue;
        touched[{dot.origin, dot.sequence}] = true;
        const auto held = model.find({dot.origin, dot.sequence});
        if (random.chance(0.5)) {
          changes.push_back({.dot = dot, .key = key});
          model[{dot.origin, dot.sequence}] = key;
        } else if (held != model.end() && random.chance(0.8)) {
          changes.push_back({.dot = dot, .key = {}, .number = hash64(held->second)});
          model.erase(held);
        } else {
          changes.push_back({.dot = dot, .key = {}, .number = hash64("another")});
        }
      }
      bench.change(changes);
      REQUIRE(bench.dots() == model);
    }
  }
}

TEST_CASE("log table: what is taken out and put in one go is there") {
  LogBench bench;
  bench.change({{.dot = {0, 4}, .key = "a"}});
  bench.change({{.dot = {0, 4}, .key = "b"}, {.dot = {0, 4}, .key = {}, .number = hash64("a")}});
  CHECK(bench.dots() == Dots{{{0, 4}, "b"}});
}

TEST_CASE("log table: what is on its way comes back, over many pages, and only whole") {
  LogBench bench;
  Dots model;
  must(bench.env->write([&](WriteTxn& txn) {
    RecentWriter writer(txn);
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const AliasDot dot{static_cast<std::uint16_t>(i % 3), i * 1'000'003};
      const std::string key = std::string(1 + i % key_bytes_max, 'k');
      writer.add(dot, key, i % 5 == 0);
      model[{dot.origin, dot.sequence}] = key;
    }
    writer.finish();
  }));
  Dots found;
  const auto txn = must(ReadTxn::begin(*bench.env));
  std::uint64_t entries = 0;
  while (const auto entry = must(txn.get(LmdbTable::recent, recent_key(entries + 1)))) {
    ++entries;
    CHECK(entry->size() <= 4080);
    CHECK(read_recent(*entry, [&](AliasDot dot, Bytes key, bool grave) {
      found[{dot.origin, dot.sequence}] = key;
      CHECK(grave == (dot.sequence / 1'000'003 % 5 == 0));
    }));
    CHECK(!read_recent(entry->substr(0, entry->size() - 1), [](AliasDot, Bytes, bool) {}));
  }
  CHECK(entries > 10);
  CHECK(found == model);
}

}  // namespace
}  // namespace dhrt::test
