#include "storage/lmdb_env.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "storage/collection_file.h"
#include "storage/data_directory.h"
#include "storage/lmdb_pages.h"
#include "tests/storage/file_puts.h"
#include "tests/storage/small_disk.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

constexpr std::size_t page_bytes = 4096;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Writes one record after the other, each in a transaction of its own.
void put_records(CollectionFile& file, int first, int count) {
  OriginTable origins;
  for (int i = first; i < first + count; ++i) {
    const KeyedRecord entry = put("key" + std::to_string(i), std::string(500, 'v'),
                                  {here, static_cast<std::uint64_t>(i)});
    std::string encoded;
    must(encode_record(encoded, entry.key, entry.record, origins, {}));
    must(write_puts(file, {{entry.key, encoded}}));
  }
}

// All keys, or what is wrong with the file.
std::string keys_or_error(CollectionFile& file) {
  std::string keys;
  const Status status = file.scan(0, "", false, [&](Bytes key, Bytes) {
    keys += std::string(key) + " ";
    return true;
  });
  return status ? keys : status.error().message;
}

struct Sample {
  Sample() {
    auto file = must(CollectionFile::create({.path = path}, {"users", 1}));
    put_records(*file, 1, 40);
    keys = keys_or_error(*file);
    file.reset();
    bytes = read_file(path);
  }
  Error refusal() {
    const auto file = CollectionFile::open({.path = path});
    REQUIRE(!file);
    CAPTURE(file.error().message);
    CHECK(file.error().message.find(path) != std::string::npos);
    return file.error();
  }

  TemporaryDirectory directory;
  std::string path = directory.file("users.mdb");
  std::string keys;
  std::string bytes;
};

TEST_CASE("LMDB file: what cannot be one is refused with its name and what to do") {
  Sample sample;
  std::filesystem::remove(sample.path);
  SUBCASE("nothing there") {
    CHECK(sample.refusal().code == ErrorCode::io);
  }
  SUBCASE("a directory") {
    std::filesystem::create_directory(sample.path);
    CHECK(sample.refusal().message.find("not a regular file") != std::string::npos);
  }
  SUBCASE("garbage") {
    write_file(sample.path, std::string(100'000, 'g'));
    const Error error = sample.refusal();
    CHECK(error.code == ErrorCode::corrupt);
    CHECK(error.message.find("not an LMDB file") != std::string::npos);
    CHECK(error.message.find("backup") != std::string::npos);
  }
  SUBCASE("a few bytes") {
    write_file(sample.path, "short");
    CHECK(sample.refusal().code == ErrorCode::corrupt);
  }
  SUBCASE("zeros where much data was") {
    write_file(sample.path,
               std::string(2 * page_bytes, '\0') + sample.bytes.substr(2 * page_bytes));
    CHECK(sample.refusal().code == ErrorCode::corrupt);
  }
}

TEST_CASE("LMDB file: what a growth left over is given back, and the file goes on") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("users.mdb");
  auto env = must(LmdbEnv::create({.path = path}, [](WriteTxn& txn) {
    txn.put(LmdbTable::meta, meta_key::format, encode_format());
  }));
  const auto write = [&env](const std::string& key, std::size_t bytes, std::size_t expected) {
    const std::string value(bytes, 'v');
    must(env->write([&](WriteTxn& txn) { txn.put(LmdbTable::data, key, value); }, expected));
  };
  const auto bytes_of = [&env](const std::string& key) {
    const auto txn = must(ReadTxn::begin(*env, 3));
    return must(txn.get(LmdbTable::data, key)).value_or(Bytes()).size();
  };
  write("a", 400'000, std::size_t{16} << 20);
  CHECK(bytes_of("a") == 400'000);
  REQUIRE(env->file_bytes() > std::size_t{16} << 20);
  env->trim();
  CHECK(env->file_bytes() < std::size_t{1} << 20);
  CHECK(env->file_bytes() >= env->pages() * page_bytes);
  CHECK(std::filesystem::file_size(path) == env->file_bytes());
  CHECK_MESSAGE(bytes_of("a") == 400'000, "a reader that was there before");
  write("b", 700'000, 0);
  const auto grown = env->file_bytes();
  env->trim();
  CHECK_MESSAGE(env->file_bytes() == grown, "so little is not worth it");
  env.reset();
  CHECK(must(inspect_lmdb_file(path)) == grown);
  env = must(LmdbEnv::open({.path = path}));
  CHECK(bytes_of("a") == 400'000);
  CHECK(bytes_of("b") == 700'000);
}

TEST_CASE("LMDB file: one that is empty, or never was written, is no empty collection") {
  Sample sample;
  SUBCASE("no bytes") {
    write_file(sample.path, "");
    CHECK(sample.refusal().message.find("it is empty") != std::string::npos);
  }
  SUBCASE("zeros") {
    write_file(sample.path, std::string(256 << 10, '\0'));
    CHECK(sample.refusal().message.find("first page") != std::string::npos);
  }
  CHECK(sample.refusal().code == ErrorCode::corrupt);
  CHECK(sample.refusal().message.find("restore the file") != std::string::npos);
}

TEST_CASE("LMDB file: it has its name when all of it is there, and no other file has it") {
  Sample sample;
  const auto again = CollectionFile::create({.path = sample.path}, {"users", 1});
  REQUIRE(!again);
  CHECK(again.error().message.find("exists") != std::string::npos);
  const std::string unfinished = LmdbEnv::unfinished_path(sample.path);
  CHECK(!std::filesystem::exists(unfinished + "-lock"));
  std::filesystem::remove(sample.path);
  // What a process that was killed leaves, half of it.
  write_file(unfinished, sample.bytes.substr(0, page_bytes + page_bytes / 2));
  write_file(unfinished + "-lock", "a");
  must(CollectionFile::create({.path = sample.path}, {"users", 1}));
  CHECK(must(CollectionFile::open({.path = sample.path}))->ref() == CollectionRef{"users", 1});
  CHECK(!std::filesystem::exists(unfinished));
  CHECK(!std::filesystem::exists(unfinished + "-lock"));
}

TEST_CASE("LMDB file: one that is cut off is refused, wherever it is cut") {
  Sample sample;
  std::size_t refused = 0;
  for (std::size_t size = 0; size < sample.bytes.size(); size += page_bytes / 2) {
    CAPTURE(size);
    write_file(sample.path, sample.bytes.substr(0, size));
    const auto file = CollectionFile::open({.path = sample.path});
    if (!file) {
      ++refused;
      CHECK(file.error().code == ErrorCode::corrupt);
      CHECK(file.error().message.find(sample.path) != std::string::npos);
    } else {
      CHECK_MESSAGE(keys_or_error(**file) == sample.keys, "only unused pages were missing");
    }
  }
  CHECK(refused > 10);
}

TEST_CASE("LMDB file: no flipped bit in its meta pages kills the process or hides a record") {
  Sample sample;
  constexpr std::size_t meta_bytes = 168;
  int opened_well = 0;
  for (std::size_t page = 0; page < 2; ++page) {
    for (std::size_t bit = 0; bit < meta_bytes * 8; ++bit) {
      CAPTURE(page);
      CAPTURE(bit);
      std::string bytes = sample.bytes;
      char& byte = bytes[page * page_bytes + bit / 8];
      byte = static_cast<char>(byte ^ (1 << (bit % 8)));
      write_file(sample.path, bytes);
      const auto file = CollectionFile::open({.path = sample.path});
      if (!file) {
        CHECK(file.error().code == ErrorCode::corrupt);
        continue;
      }
      REQUIRE(keys_or_error(**file) == sample.keys);
      put_records(**file, 100, 1);
      REQUIRE(keys_or_error(**file).size() > sample.keys.size());
      ++opened_well;
    }
  }
  MESSAGE(opened_well << " of " << 2 * 8 * meta_bytes << " flips do no harm");
}

TEST_CASE("LMDB file: a commit that was cut off before its number counts for nothing") {
  Sample sample;
  constexpr std::size_t number_at = 144;  // Within a meta page.
  const auto number_of = [&](const std::string& bytes, std::size_t page) -> std::string {
    return bytes.substr(page * page_bytes + number_at, 8);
  };
  put_records(*must(CollectionFile::open({.path = sample.path})), 41, 1);
  std::string later = read_file(sample.path);
  const std::size_t page = number_of(later, 0) == number_of(sample.bytes, 0) ? 1 : 0;
  later.replace(page * page_bytes + number_at, 8, number_of(sample.bytes, page));
  write_file(sample.path, later);
  {
    const auto file = must(CollectionFile::open({.path = sample.path}));
    CHECK(keys_or_error(*file) == sample.keys);
    put_records(*file, 41, 1);
  }
  std::filesystem::remove(sample.path);
  must(CollectionFile::create({.path = sample.path}, {"users", 1}));
  std::string first = read_file(sample.path);
  first.replace(page_bytes + number_at, 8, std::string(8, '\0'));
  write_file(sample.path, first);
  CHECK(sample.refusal().code == ErrorCode::corrupt);
}

TEST_CASE("LMDB file: a file with holes opens only if the disk has room for them") {
  const SmallDisk disk("2m");
  const std::string path = disk.file("users.mdb");
  put_records(*must(CollectionFile::create({.path = path}, {"users", 1})), 1, 40);
  std::filesystem::resize_file(path, 64 << 20);
  const auto file = CollectionFile::open({.path = path});
  REQUIRE(!file);
  CHECK(file.error().code == ErrorCode::full);
  std::filesystem::resize_file(path, 1 << 20);
  put_records(*must(CollectionFile::open({.path = path})), 41, 1);
}

TEST_CASE("LMDB file: one cannot be made on a full disk, and can when there is room") {
  const SmallDisk disk("200k");
  const LmdbEnv::Options options{.path = disk.file("users.mdb")};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto file = CollectionFile::create(options, {"users", 1});
    REQUIRE(!file);
    CHECK(file.error().code == ErrorCode::full);
  }
  CHECK_MESSAGE(std::filesystem::is_empty(disk.path()), "it left nothing");
  REQUIRE(::mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT, "size=4m") == 0);
  put_records(*must(CollectionFile::create(options, {"users", 1})), 1, 1);
}

TEST_CASE("data directory: where nothing can be written it says so, and what to do") {
  SmallDisk disk("1m");
  must(open_engine_directory(disk.file("data")));
  disk.forbid_writing();
  const auto refused = open_engine_directory(disk.file("data"));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::io);
  CHECK(refused.error().message.find("ead-only") != std::string::npos);
  CHECK(refused.error().message.find("can write to") != std::string::npos);
}

TEST_CASE("data directory: of an engine it has two folders and one owner") {
  const TemporaryDirectory directory;
  const auto engine = must(open_engine_directory(directory.file("data")));
  CHECK(std::filesystem::is_directory(directory.file("data/collections")));
  CHECK(engine.log == directory.file("data/log"));
  CHECK(std::filesystem::is_directory(engine.log));
  CHECK(engine.collections->file_of("users") == directory.file("data/collections/users.mdb"));
  const auto second = open_engine_directory(directory.file("data"));
  REQUIRE(!second);
  CHECK(second.error().code == ErrorCode::busy);
}

}  // namespace
}  // namespace dhrt::test
