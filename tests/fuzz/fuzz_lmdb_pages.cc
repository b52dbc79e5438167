// Whatever is changed in a file: it is refused, or everything that is done with it comes to an end.
//
// input := edit*, edit := place u24, byte u8: of a file that is always the same, the byte at that
// place, modulo the bytes that LMDB has used, is exchanged by xor.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include "storage/collection_file.h"
#include "storage/lmdb_pages.h"
#include "tests/fuzz/fuzz.h"
#include "tests/storage/file_puts.h"

using namespace dhrt;

namespace {

constexpr int records = 24;

std::string key_of(int record) {
  return "key" + std::to_string(record * record);
}

// In a directory of this process's own.
struct Base {
  Base() {
    // In memory if there is such a place: LMDB syncs each commit, which is most of the time.
    const std::filesystem::path memory = "/dev/shm";
    const auto where =
        std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
    std::string made = (where / "dhrt-fuzz-XXXXXX").string();
    check(::mkdtemp(made.data()) != nullptr, "a directory can be made");
    directory = made;
    path = made + "/users.mdb";
    auto file = CollectionFile::create({.path = path}, {"users", 1});
    check(file.has_value(), "a file can be made");
    OriginTable origins;
    for (int i = 0; i < records; ++i) {
      Record record;
      record.dot = {{.node = 1, .epoch = 1, .loop = 0}, static_cast<std::uint64_t>(i + 1)};
      record.version = {static_cast<std::uint64_t>(i + 1), 1};
      record.deleted = i % 5 == 0;
      if (!record.deleted) record.value = std::string(i == 7 ? 9000 : 300, 'v');
      std::string encoded;
      check(encode_record(encoded, key_of(i), record, origins, {}).has_value(), "it is encoded");
      const FileMeta meta;
      const std::string key = key_of(i);
      check(test::write_puts(**file, {{key, encoded}}, &meta).has_value(), "it is written");
    }
    // Without the pages that the writes above have freed; the next ones free a few.
    const std::string compact = made + "/compact.mdb";
    check((*file)->copy_to(compact).has_value(), "it can be copied");
    file->reset();
    path = compact;
    file = CollectionFile::open({.path = path});
    check(file.has_value(), "the copy is whole");
    const FileMeta meta;
    for (int i = 0; i < 3; ++i)
      check(test::write_puts(**file, {}, &meta).has_value(), "it is written");
    file->reset();
    std::ifstream stream(path, std::ios::binary);
    bytes = {std::istreambuf_iterator<char>(stream), {}};
  }
  Base(const Base&) = delete;
  Base& operator=(const Base&) = delete;
  ~Base() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  std::string directory;
  std::string path;
  std::string bytes;
};

std::optional<lmdb::Fault> fault_of(const std::string& bytes, lmdb::Snapshot& snapshot) {
  const auto read = [&](std::uint64_t offset, std::span<char> to) {
    if (offset > bytes.size() || to.size() > bytes.size() - offset) return false;
    std::memcpy(to.data(), bytes.data() + offset, to.size());
    return true;
  };
  return lmdb::fault_of_file(read, bytes.size(), snapshot);
}

void use(const std::string& path) {
  auto opened = CollectionFile::open({.path = path});
  if (!opened) return;
  CollectionFile& file = **opened;
  static_cast<void>(file.settle_after_crash(0));
  static_cast<void>(file.scan(0, "", false, [](Bytes, Bytes) { return true; }));
  static_cast<void>(file.walk(0, {0, 0}, [](AliasDot, Bytes, Bytes) { return true; }));
  std::vector<FileGrave> graves;
  static_cast<void>(file.graves(0, {0, 0}, [&graves](AliasDot dot, Bytes key) {
    graves.push_back({dot, std::string(key)});
    return graves.size() < std::size_t{records};
  }));
  for (int i = 0; i < records; ++i)
    graves.push_back({{0, static_cast<std::uint64_t>(i)}, key_of(i)});
  std::ranges::sort(graves, {}, &FileGrave::key);
  for (std::span<const FileGrave> rest = graves; !rest.empty();) {
    const auto done = file.remove(
        rest, std::numeric_limits<std::uint64_t>::max(), [](std::size_t, Bytes) {},
        [](std::size_t) { return nullptr; });
    if (!done) break;
    rest = rest.subspan(*done);
  }
  static_cast<void>(file.copy_to(path + ".copy"));
  ::unlink((path + ".copy").c_str());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Base base;
  lmdb::Snapshot snapshot;
  check(!fault_of(base.bytes, snapshot), "the file is whole before it is changed");
  const std::size_t used = (snapshot.last_page + 1) * snapshot.page_bytes;
  std::string bytes = base.bytes;
  for (; size >= 4; data += 4, size -= 4) {
    const std::size_t place = data[0] | std::size_t{data[1]} << 8 | std::size_t{data[2]} << 16;
    bytes[place % used] = static_cast<char>(bytes[place % used] ^ data[3]);
  }
  if (fault_of(bytes, snapshot)) return 0;
  std::ofstream(base.path, std::ios::binary | std::ios::trunc) << bytes;
  use(base.path);
  return 0;
}
