#include "storage/collection_file.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "storage/base/random.h"
#include "tests/storage/file_bench.h"
#include "tests/storage/file_puts.h"
#include "tests/storage/small_disk.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

KeyedRecord mortal(const std::string& key, WallMilliseconds deadline, Dot dot) {
  KeyedRecord entry = put(key, "v", dot);
  entry.record.deadline = deadline;
  return entry;
}

TEST_CASE("collection file: gives back what was written, also when opened again") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  CHECK(must(bench.write({put("a", "1", {here, 1}), tombstone("b", {here, 2}),
                          put("c", "3", {there, 1})})) == "a:- b:- c:-");
  for (const bool again : {false, true}) {
    CAPTURE(again);
    if (again) bench.reopen();
    CHECK(bench.file->ref() == CollectionRef{"users", 3});
    CHECK(bench.get("a")->value == "1");
    CHECK(bench.get("b")->deleted);
    CHECK(!bench.get("d"));
    CHECK(!bench.get(""));
    CHECK(!bench.get(std::string(key_bytes_max + 1, 'k')));
    CHECK(bench.scan() == "a b c ");
    CHECK(bench.scan("b") == "b c ");
    CHECK(bench.scan("b", true) == "c ");
    CHECK(bench.scan("aa", true) == "b c ");
    CHECK_MESSAGE(bench.scan("", false, 2) == "a b ", "until it is told to stop");
    CHECK(bench.walk({0, 0}) == "1:a 2:b ");
    CHECK(bench.walk({0, 2}) == "2:b ");
    CHECK(bench.walk({0, 0}, 1) == "1:a ");
    CHECK(bench.walk({1, 0}) == "1:c ");
    CHECK(bench.walk({2, 0}).empty());
  }
}

TEST_CASE("collection file: a replaced record leaves nothing behind in the indexes") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write({mortal("a", noon + 5, {here, 1}), mortal("b", noon + 6, {here, 2})}));
  CHECK(bench.expired(noon + 5) == "a ");
  CHECK(bench.expired(noon + 6) == "a b ");
  CHECK(must(bench.write({put("a", "2", {here, 3}), mortal("b", noon + 9, {there, 1})})) ==
        "a:1 b:2");
  CHECK(bench.walk({0, 0}) == "3:a ");
  CHECK(bench.walk({1, 0}) == "1:b ");
  CHECK(bench.expired(noon + 8).empty());
  CHECK(bench.expired(noon + 9) == "b ");
  CHECK_MESSAGE(must(bench.write({mortal("b", noon + 9, {there, 1})})) == "b:1",
                "the same again changes nothing");
  CHECK(bench.walk({1, 0}) == "1:b ");
  CHECK(bench.expired(noon + 9) == "b ");
  must(bench.write({tombstone("b", {there, 2})}));
  CHECK(bench.expired(noon + 9).empty());
}

// More than are told to the log table at once, in an order of keys that is none of dots.
constexpr std::size_t many = 5000;
std::vector<KeyedRecord> many_records(std::uint64_t first_sequence) {
  std::vector<KeyedRecord> made;
  for (std::uint64_t i = 0; i < many; ++i)
    made.push_back(put("key" + std::to_string(i), "v", {here, first_sequence + i * 7 % many}));
  return made;
}

std::size_t dots_in_log(const LmdbEnv::Options& options) {
  const auto env = must(LmdbEnv::open(options));
  const auto txn = must(ReadTxn::begin(*env));
  auto cursor = must(LmdbCursor::open(txn, LmdbTable::log));
  std::size_t dots = 0;
  for (cursor.seek(""); cursor.valid(); cursor.next()) {
    const LogBlock block = decode_log_block(cursor.value()).value();
    for (const Bytes key : block)
      dots += key.empty() ? 0 : 1;
  }
  return dots;
}

TEST_CASE("collection file: large writes leave nothing behind either, once it is settled") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  const FileMeta meta;
  must(bench.write(many_records(1), &meta));
  const std::string before = bench.walk({0, 0}, many + 1);
  CHECK(before.substr(0, 2) == "1:");
  must(bench.write(many_records(1), &meta));
  CHECK_MESSAGE(bench.walk({0, 0}, many + 1) == before, "the same again changes nothing");
  must(bench.write(many_records(1 + many)));
  CHECK_MESSAGE(bench.walk({0, 0}).empty(), "stale entries are passed over");
  CHECK(!bench.file->settled());
  must(bench.write(many_records(1 + 2 * many), &meta));
  CHECK(bench.walk({0, 0}, 1).substr(0, 6) == "10001:");
  bench.file.reset();
  CHECK(dots_in_log(bench.options) == many);
}

TEST_CASE("collection file: a large write that a crash ended is found by its dots all the same") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write({put("key1", "old", {here, 1}), put("other", "v", {here, 2})}));
  must(bench.write(many_records(3)));
  bench.reopen();
  CHECK(bench.walk({0, 0}) == "2:other ");
  CHECK(must(bench.file->count_unsettled(0)) == many);
  must(bench.file->settle_after_crash(0));
  CHECK(must(bench.file->count_unsettled(0)) == 0);
  const std::string walked = bench.walk({0, 0}, 2 * many);
  CHECK(static_cast<std::size_t>(std::ranges::count(walked, ' ')) == many + 1);
  CHECK(walked.substr(0, 15) == "2:other 3:key0 ");
  bench.reopen();
  must(bench.file->settle_after_crash(0));
  CHECK(bench.walk({0, 0}, 2 * many) == walked);
}

TEST_CASE("collection file: on a full disk a walk fails before it leaves out what a crash left") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  std::vector<KeyedRecord> records = many_records(1);
  for (KeyedRecord& entry : records)
    entry.key.resize(400, 'k');
  must(bench.write(records));
  const auto walked = [&bench] {
    std::size_t dots = 0;
    const Status status = bench.file->walk(0, {0, 0}, [&dots](AliasDot, Bytes, Bytes) {
      ++dots;
      return true;
    });
    return status ? Result<std::size_t>(dots) : tl::unexpected(status.error());
  };
  {
    const FileSizeLimit no_growth(bench.file->bytes_used());
    bench.reopen();
    must(bench.file->settle_after_crash(0));
    REQUIRE(!walked());
    CHECK(walked().error().code == ErrorCode::full);
    CHECK(walked().error().message.find("free space") != std::string::npos);
    CHECK(bench.get(records.front().key));
  }
  must(bench.file->settle_index(nullptr));
  CHECK(must(walked()) == many);
}

TEST_CASE("collection file: of a large write a transaction takes a part, which is whole") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  const auto value = std::string(1000, 'v');
  std::vector<std::string> keys(many);
  std::vector<std::string> encoded(many);
  for (std::size_t i = 0; i < many; ++i) {
    keys[i] = "key" + std::to_string(1'000'000 + i);
    must(encode_record(encoded[i], keys[i], put(keys[i], value, {here, i + 1}).record,
                       bench.origins, {}));
  }
  std::vector<FilePut> puts;
  for (std::size_t i = 0; i < many; ++i)
    puts.push_back({keys[i], encoded[i]});
  std::size_t told = 0;
  const auto meta_of = [&](const auto replaced) {
    told = replaced.size();
    return nullptr;
  };
  const std::size_t written = must(bench.file->write(
      puts, CollectionFile::Index::later, [](std::size_t, const Bytes*) {}, meta_of));
  CHECK(written > 100);
  CHECK(written < many);
  CHECK(told == written);
  CHECK(bench.get(keys[written - 1]));
  CHECK(!bench.get(keys[written]));
  CHECK(must(bench.file->count_unsettled(0)) == written);
}

TEST_CASE("collection file: one dot for two keys loses neither of them") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write({put("x", "v", {here, 4}), put("y", "v", {here, 4})}));
  must(bench.write({put("x", "w", {here, 5})}));
  CHECK(bench.scan() == "x y ");
  CHECK(bench.walk({0, 0}) == "4:y 5:x ");
  must(bench.write({put("y", "w", {here, 5})}));
  CHECK_MESSAGE(bench.walk({0, 0}) == "5:y ", "the later put has the entry");
  CHECK(bench.get("x")->value == "w");
}

TEST_CASE("collection file: knows its tombstones by their dots") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  constexpr WallMilliseconds far = std::numeric_limits<WallMilliseconds>::max();
  must(bench.write({tombstone("a", {here, 7}), mortal("b", noon + 2, {here, 2}),
                    tombstone("c", {here, 3}), put("d", "v", {here, 4}), tombstone("e", {there, 5}),
                    tombstone("f", {here, 6})}));
  CHECK(bench.file->knows_graves());
  CHECK(bench.graves_told() == "3:c 6:f 7:a ");
  CHECK(bench.graves_told({0, 6}) == "6:f 7:a ");
  CHECK(bench.graves_told({0, 0}, 1) == "3:c ");
  CHECK(bench.graves_told({1, 0}) == "5:e ");
  CHECK_MESSAGE(bench.expired(far - 1) == "b ", "none of them is past a deadline, ever");

  must(bench.write({tombstone("b", {here, 2}), put("c", "back", {here, 8})}));
  CHECK_MESSAGE(bench.graves_told() == "2:b 6:f 7:a ", "what expired, without what came back");
  CHECK(bench.expired(far - 1).empty());
  must(bench.write({mortal("g", far, {here, 1})}));
  bench.reopen();
  CHECK(bench.file->knows_graves());
  CHECK_MESSAGE(bench.graves_told() == "1:g 2:b 6:f 7:a ", "a deadline may be as far away");
  CHECK(bench.remove(bench.graves()) == "a b f ");
  CHECK(bench.graves_told() == "1:g ");
  CHECK(bench.get("g")->deadline == far);
}

TEST_CASE("collection file: tombstones taken out are gone from every table") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write({mortal("a", noon, {here, 1}), tombstone("b", {here, 2}),
                    tombstone("c", {here, 3}), tombstone("d", {here, 4})}));
  FileMeta meta;
  meta.tombstones = 2;
  meta.forgotten = context_of(here, 1, 2);
  const auto others = {FileGrave{{0, 1}, "a"}, FileGrave{{0, 9}, "c"}, FileGrave{{0, 4}, "nobody"}};
  CHECK_MESSAGE(bench.remove(others).empty(), "no live record goes, and none of another dot");
  CHECK(bench.remove({{{0, 2}, "b"}}, &meta) == "b ");
  for (const bool again : {false, true}) {
    CAPTURE(again);
    if (again) bench.reopen();
    CHECK(bench.scan() == "a c d ");
    CHECK(bench.walk({0, 0}) == "1:a 3:c 4:d ");
    CHECK(bench.expired(noon) == "a ");
    CHECK(bench.graves_told() == "3:c 4:d ");
    const FileMeta read = must(bench.file->meta(0));
    CHECK(read.tombstones == 2);
    CHECK(read.forgotten == context_of(here, 1, 2));
  }
}

TEST_CASE("collection file: one of an earlier build is told of its tombstones") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write(
      {tombstone("a", {here, 1}), put("b", "v", {here, 2}), tombstone("c", {here, 3})}));
  bench.file.reset();
  {
    const auto env = must(LmdbEnv::open(bench.options));
    must(env->write([](WriteTxn& txn) {
      txn.clear(LmdbTable::expiry);
      txn.remove(LmdbTable::meta, meta_key::graves);
    }));
  }
  bench.reopen();
  CHECK(!bench.file->knows_graves());
  CHECK(bench.graves_told().empty());
  must(bench.file->add_graves(std::vector<FileGrave>{{{0, 1}, "a"}}, false));
  bench.reopen();
  CHECK_MESSAGE(!bench.file->knows_graves(), "not before the last one");
  must(bench.file->add_graves(std::vector<FileGrave>{{{0, 2}, "b"}, {{0, 3}, "c"}}, true));
  for (const bool again : {false, true}) {
    CAPTURE(again);
    if (again) bench.reopen();
    CHECK(bench.file->knows_graves());
    CHECK_MESSAGE(bench.graves_told() == "1:a 3:c ", "and no live record among them");
  }
}

TEST_CASE("collection file: the expiry cursor goes on behind what was shown") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  must(bench.write({mortal("a", noon + 1, {here, 1}), mortal("b", noon + 2, {here, 2}),
                    mortal("c", noon + 2, {here, 3}), mortal("d", noon + 7, {here, 4})}));
  std::string cursor;
  CHECK(bench.expired(noon + 2, cursor, 2) == "a b ");
  CHECK(bench.expired(noon + 2, cursor) == "c ");
  CHECK(bench.expired(noon + 2, cursor).empty());
  CHECK(bench.expired(noon + 7, cursor) == "d ");
}

TEST_CASE("collection file: meta is written with the records, counted while they are") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  CHECK_MESSAGE(must(bench.file->meta(0)).cut == LogCut{}, "of a new file everything is empty");
  FileMeta meta{.cut = {.run = 4, .positions = {7, 9}}, .highest_hlc = 12, .live = 1, .bytes = 5};
  meta.seen.add(here, Interval{1, 4});
  meta.flushed.add(here, Interval{1, 2});
  meta.swept.add(here, Interval{1, 1});
  must(meta.origins.alias(here));
  const std::string value(2'000'000, 'v');
  std::string encoded;
  must(encode_record(encoded, "a", put("a", value, {here, 1}).record, meta.origins, {}));
  int told = 0;
  const std::vector<FilePut> puts{{"a", encoded}};
  must(bench.file->write(
      puts, CollectionFile::Index::at_once,
      [&](std::size_t i, const Bytes* held) {
        CHECK(i == 0);
        CHECK(held == nullptr);
      },
      [&](const auto replaced) {
        ++told;
        CHECK_MESSAGE(replaced.size() == 1, "also when the map was full the first time");
        meta.live = 2;
        return &meta;
      }));
  CHECK(told >= 1);
  must(write_puts(*bench.file, {}));
  bench.reopen();
  const FileMeta read = must(bench.file->meta(3));
  CHECK(read.cut == meta.cut);
  CHECK(read.seen == meta.seen);
  CHECK(read.flushed == meta.flushed);
  CHECK(read.swept == meta.swept);
  CHECK(read.origins.size() == 1);
  CHECK(read.highest_hlc == 12);
  CHECK(read.live == 2);
  CHECK(read.bytes == 5);
}

TEST_CASE("collection file: agrees with a map, whatever is written and taken out") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const TemporaryDirectory directory;
    FileBench bench(directory.file("users.mdb"));
    std::map<std::string, Record> model;
    std::uint64_t sequence = 0;
    for (int step = 0; step < 60; ++step) {
      std::map<std::string, Record> batch;
      for (std::uint64_t n = random.below(50); n > 0; --n) {
        const std::string key = "k" + std::to_string(random.below(200));
        KeyedRecord entry = put(key, std::string(random.below(3000), 'v'),
                                {random.chance(0.3) ? there : here, ++sequence});
        if (random.chance(0.2)) entry = tombstone(key, entry.record.dot);
        if (!entry.record.deleted && random.chance(0.3))
          entry.record.deadline = noon + random.below(10);
        batch.insert_or_assign(key, entry.record);
      }
      std::vector<KeyedRecord> records;
      for (const auto& [key, record] : batch) {
        records.push_back({key, record});
        model.insert_or_assign(key, record);
      }
      must(bench.write(records));
      if (random.chance(0.3) && !model.empty()) {
        std::vector<FileGrave> graves =
            bench.graves({0, random.below(sequence + 1)}, 1 + random.below(8));
        const std::string went = bench.remove(graves);
        for (const FileGrave& grave : graves)
          CHECK(model.extract(grave.key).mapped().deleted);
        CHECK(static_cast<std::size_t>(std::ranges::count(went, ' ')) == graves.size());
      }
      if (random.chance(0.05)) bench.reopen();
    }
    std::string keys;
    std::size_t mortals = 0;
    std::size_t dead = 0;
    for (const auto& [key, record] : model) {
      keys += key + " ";
      mortals += record.deadline != 0 ? 1 : 0;
      dead += record.deleted ? 1 : 0;
      REQUIRE(bench.get(key) == record);
    }
    CHECK(bench.scan() == keys);
    std::size_t walked = 0;
    for (const std::uint16_t alias : {std::uint16_t{0}, std::uint16_t{1}}) {
      must(bench.file->walk(0, {alias, 0}, [&](AliasDot, Bytes, Bytes) {
        ++walked;
        return true;
      }));
    }
    CHECK(walked == model.size());
    const std::string all = bench.expired(noon + 10);
    CHECK(static_cast<std::size_t>(std::ranges::count(all, ' ')) == mortals);
    CHECK(bench.graves({0, 0}).size() + bench.graves({1, 0}).size() == dead);
  }
}

TEST_CASE("collection file: a full disk changes nothing, and space makes it go on") {
  const SmallDisk disk("4m");
  const auto fill = std::string(200'000, 'x');
  std::ofstream(disk.file("ballast")) << std::string(1'000'000, 'b');
  FileBench bench(disk.file("users.mdb"));
  std::uint64_t last = 0;
  Result<std::string> written;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    written = bench.write({put("k" + std::to_string(i), fill, {here, i})});
    if (!written) break;
    last = i;
  }
  REQUIRE(!written);
  CHECK(last > 5);
  CHECK(written.error().code == ErrorCode::full);
  CHECK(written.error().message.find("users.mdb") != std::string::npos);
  CHECK(written.error().message.find("free space") != std::string::npos);
  const std::string next = "k" + std::to_string(last + 1);
  CHECK(!bench.get(next));
  CHECK(bench.get("k1")->value == fill);
  CHECK_MESSAGE(!bench.write({put(next, fill, {here, last + 1})}), "it is still full");
  CHECK_MESSAGE(bench.write({put("small", "v", {here, 99})}), "what fits is still written");
  bench.reopen();
  CHECK(bench.get("k" + std::to_string(last))->value == fill);

  std::filesystem::remove(disk.file("ballast"));
  must(bench.write({put(next, fill, {here, last + 1})}));
  CHECK(bench.get(next)->value == fill);
}

TEST_CASE("collection file: overwriting everything again and again does not let it grow") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  const FileMeta meta;
  std::uint64_t sequence = 0;
  std::uint64_t first = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<KeyedRecord> records;
    for (int i = 0; i < 5000; ++i)
      records.push_back(put("key" + std::to_string(i), std::string(100, 'v'), {here, ++sequence}));
    must(bench.write(records, &meta));
    if (round == 0) first = bench.file->bytes_used();
  }
  CHECK(bench.file->bytes_used() <= 3 * first);
  CHECK(std::filesystem::file_size(bench.file->path()) == bench.file->bytes_used());
}

TEST_CASE("collection file: threads read while it is written and grows") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  constexpr std::uint64_t rounds = 60;
  std::atomic<bool> ending{false};
  std::atomic<std::uint64_t> torn{0};
  must(bench.write({put("a", "1000", {here, 1}), put("z", "1000", {here, 2})}));
  std::vector<std::thread> threads;
  for (unsigned loop = 1; loop < 4; ++loop) {
    threads.emplace_back([&, loop] {
      while (!ending) {
        std::vector<std::string> values;
        const Status status = bench.file->scan(loop, "", false, [&](Bytes key, Bytes encoded) {
          // Four bytes of value, then the checksum.
          if (key == "a" || key == "z")
            values.push_back(std::string(encoded.substr(encoded.size() - 8, 4)));
          return true;
        });
        if (!status || values.size() != 2 || values[0] != values[1]) ++torn;
      }
    });
  }
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    const std::string value = std::to_string(1000 + i);
    const Dot dot{here, 10 * i};
    must(
        bench.write({put("a", value, dot), put("z", value, dot),
                     put("k" + std::to_string(i), std::string(100'000, 'x'), {here, 10 * i + 2})}));
  }
  ending = true;
  for (std::thread& thread : threads)
    thread.join();
  CHECK(torn == 0);
  CHECK(bench.file->bytes_used() > rounds * 100'000);
}

TEST_CASE("collection file: a copy has what the file had, and overwrites nothing") {
  const TemporaryDirectory directory;
  FileBench bench(directory.file("users.mdb"));
  std::vector<KeyedRecord> records;
  for (std::uint64_t i = 1; i <= 2000; ++i)
    records.push_back(put("key" + std::to_string(i), std::string(100, 'v'), {here, i}));
  must(bench.write(records));
  const std::string keys = bench.scan("", false, 5000);
  const std::string copy = directory.file("copy.mdb");
  must(bench.file->copy_to(copy));
  CHECK(std::filesystem::file_size(copy) <= bench.file->bytes_used());
  const auto refused = bench.file->copy_to(copy);
  REQUIRE(!refused);
  CHECK(refused.error().message.find("exists") != std::string::npos);
  {
    const FileSizeLimit limit(100'000);
    const auto full = bench.file->copy_to(directory.file("other.mdb"));
    REQUIRE(!full);
    CHECK(full.error().code == ErrorCode::full);
    CHECK(!std::filesystem::exists(directory.file("other.mdb")));
  }
  bench.options.path = copy;
  bench.reopen();
  CHECK(bench.scan("", false, 5000) == keys);
  must(bench.write({put("more", "v", {here, 3000})}));
  bench.reopen();
  CHECK(bench.get("more")->value == "v");
}

}  // namespace
}  // namespace dhrt::test
