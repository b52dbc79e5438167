#include "storage/verify.h"

#include "storage/hlc.h"
#include "storage/writer.h"
#include "tests/storage/engine_life.h"
#include "tests/storage/file_puts.h"

namespace dhrt::test {
namespace {

FileReport verified(const std::string& directory, const std::string& collection) {
  const auto report = must(verify_directory(directory, [](const VerifyProgress&) { return true; }));
  for (const FileReport& file : report.files)
    if (file.collection == collection) return file;
  FAIL("no such file");
  return {};
}

TEST_CASE("verify: a flush whose sweep was cut off by the stop is no damage") {
  EngineLife life;
  HybridClock clock;
  RecordWriter writer(life.store(), clock, own_origin(life.options.run));
  for (int i = 0; i < 10; ++i)
    must(writer.write(life.users(), {.key = "k" + std::to_string(i), .value = "v"}, noon));
  must(writer.write(life.users(), {.key = "k0", .deletes = true}, noon));
  life.settle();
  must(life.engine->checkpoint());
  must(writer.flush(life.users()));
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  const FileReport report = verified(life.directory.path(), "users");
  CHECK(report.sound());
  CHECK(report.records == 10);
  CHECK_MESSAGE(report.tombstones == 10, "as a reader has it");
}

TEST_CASE("verify: what a crash left on its way into the log table counts as led to") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("collections"));
  const std::string path = directory.file("collections/users.mdb");
  auto file = must(CollectionFile::create({.path = path}, {"users", 1}));
  FileMeta meta;
  must(meta.origins.alias(here));
  meta.live = 100;
  std::vector<std::string> keys(100);
  std::vector<std::string> encoded(keys.size());
  std::vector<FilePut> puts;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i] = "k" + std::to_string(100 + i);
    const KeyedRecord entry = put(keys[i], "v", {here, 1000 - i});
    must(encode_record(encoded[i], keys[i], entry.record, meta.origins, {}));
    puts.push_back({keys[i], encoded[i]});
  }
  const auto written = must(file->write(
      puts, CollectionFile::Index::later, [](std::size_t, const Bytes*) {},
      [&](const auto) { return &meta; }));
  REQUIRE(written == keys.size());
  file.reset();
  CHECK(verified(directory.path(), "users").sound());
  {
    const auto env = must(LmdbEnv::open({.path = path}));
    must(env->write([](WriteTxn& txn) { txn.clear(LmdbTable::recent); }));
  }
  CHECK(verified(directory.path(), "users").unindexed == keys.size());
}

}  // namespace
}  // namespace dhrt::test
