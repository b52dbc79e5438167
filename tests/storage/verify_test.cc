#include "storage/verify.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

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

// Flips a bit of the one file below a directory that has these bytes, in the middle of them.
void flip_a_bit_in(const std::string& directory, const std::string& bytes) {
  int flipped = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), {});
    const std::size_t at = all.find(bytes);
    if (at == std::string::npos) continue;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at + bytes.size() / 2));
    file.put(static_cast<char>(all[at + bytes.size() / 2] ^ 4));
    ++flipped;
  }
  REQUIRE(flipped == 1);
}

std::string value_of(int number) {
  return "the value of number " + std::to_string(number) + " as it is on the disk";
}

void set_numbers(EngineLife& life, int first, int last) {
  for (int i = first; i <= last; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), value_of(i), own_origin());
  life.settle();
}

TEST_CASE("verify: a bit that flipped in a record is told with its key, and the others are sound") {
  EngineLife life;
  set_numbers(life, 10, 29);
  must(life.engine->stop());
  life.engine.reset();
  CHECK(verified(life.directory.path(), "users").sound());
  flip_a_bit_in(life.directory.file("collections"), value_of(17));
  const FileReport report = verified(life.directory.path(), "users");
  CHECK_FALSE(report.sound());
  CHECK(report.damaged == 1);
  CHECK(report.records == 20);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front() == "key 'k17': its checksum does not match");
}

TEST_CASE("verify: a tombstone that nothing leads to would stay for ever") {
  EngineLife life;
  for (int i = 0; i < 30; ++i)
    set_own(life.store(), life.users(), "k" + std::to_string(i), "", own_origin(), i % 3 == 0);
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  CHECK(verified(life.directory.path(), "users").sound());
  const std::string path = life.directory.file("collections/users.mdb");
  const auto change = [&](const std::function<void(WriteTxn&)>& body) {
    must(must(LmdbEnv::open({.path = path}))->write(body));
  };
  change([](WriteTxn& txn) { txn.remove(LmdbTable::expiry, expiry_key(grave_deadline, {0, 4})); });
  const FileReport report = verified(life.directory.path(), "users");
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().starts_with("1 tombstones"));
  change([](WriteTxn& txn) { txn.remove(LmdbTable::meta, meta_key::graves); });
  CHECK_MESSAGE(verified(life.directory.path(), "users").sound(), "a start looks for them");
}

TEST_CASE("verify: how far it is in one large file is shown on the way") {
  EngineLife life;
  set_numbers(life, 10'000, 29'999);
  must(life.engine->stop());
  life.engine.reset();
  std::vector<VerifyProgress> shown;
  must(verify_directory(life.directory.path(), [&](const VerifyProgress& progress) {
    shown.push_back(progress);
    return true;
  }));
  REQUIRE(shown.size() >= 5);
  CHECK(std::ranges::is_sorted(shown, {}, &VerifyProgress::bytes));
  CHECK(shown[1].bytes > shown[1].bytes_total / 5);
  CHECK(shown[1].bytes < shown[1].bytes_total * 3 / 5);
  CHECK(shown.back().bytes <= shown.back().bytes_total);
}

TEST_CASE("verify: damage in a log is a finding, a torn end is none") {
  EngineLife life;
  set_numbers(life, 10, 19);
  set_numbers(life, 20, 29);
  set_numbers(life, 30, 39);
  life.engine.reset();  // As if it was killed: the records are in the log alone.
  const auto look = [&life] {
    return must(
        verify_directory(life.directory.path(), [](const VerifyProgress&) { return true; }));
  };
  const VerifyReport before = look();
  CHECK(before.sound());
  REQUIRE(before.logs.size() == 1);
  const std::uint64_t frames = before.logs.front().frames;
  CHECK(before.logs.front().bytes_torn == 0);
  SUBCASE("the end") {
    flip_a_bit_in(life.directory.file("log"), value_of(35));
    const VerifyReport after = look();
    CHECK(after.sound());
    CHECK(after.logs.front().bytes_torn > 0);
    CHECK(after.logs.front().frames < frames);
  }
  SUBCASE("before what a later frame says is on the disk") {
    flip_a_bit_in(life.directory.file("log"), value_of(15));
    const VerifyReport after = look();
    CHECK_FALSE(after.sound());
    REQUIRE(after.findings.size() == 1);
    CHECK_MESSAGE(after.findings.front().find(life.directory.file("log")) != std::string::npos,
                  after.findings.front());
  }
}

}  // namespace
}  // namespace dhrt::test
