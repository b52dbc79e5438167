// Damage in the pages of a file: found before LMDB comes by, and never the end of the process.
#include "storage/lmdb_pages.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <unistd.h>

#include "storage/base/random.h"
#include "storage/collection_file.h"
#include "tests/storage/file_puts.h"
#include "tests/storage/lmdb_image.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

constexpr std::size_t big_bytes = 9000;

// A file with a table of two levels, big values, free pages, and keys of odd and even length.
struct Sample {
  explicit Sample(int records = 60) {
    auto file = must(CollectionFile::create({.path = path}, {"users", 1}));
    for (int i = 0; i < records; ++i) {
      const std::string key = "key" + std::to_string(i * i);
      const std::string value(i % 20 == 7 ? big_bytes : 100 + i, 'v');
      written[key] = value;
      put_record(*file, key, value, static_cast<std::uint64_t>(i + 1));
    }
    file.reset();
  }

  void put_record(CollectionFile& file, const std::string& key, const std::string& value,
                  std::uint64_t sequence) {
    KeyedRecord entry = put(key, value, {here, sequence});
    entry.record.deadline = sequence % 3 == 0 ? noon : 0;
    std::string encoded;
    must(encode_record(encoded, entry.key, entry.record, origins, {}));
    const FileMeta meta;
    must(write_puts(file, {{entry.key, encoded}}, &meta));
  }

  TemporaryDirectory directory;
  std::string path = directory.file("users.mdb");
  std::map<std::string, std::string> written;
  OriginTable origins;
};

// Everything that is done with a file, on one whose pages were found to be whole. Whatever it is
// damaged in besides, no record is shown with a value that nobody wrote.
void use(Sample& sample, const std::string& path) {
  auto opened = CollectionFile::open({.path = path});
  if (!opened) {
    CHECK(opened.error().message.find(path) != std::string::npos);
    return;
  }
  CollectionFile& file = **opened;
  const auto judge = [&](Bytes key, Bytes encoded) {
    const auto record = decode_record(encoded, key, sample.origins);
    if (!record || record->damaged) return true;
    const auto found = sample.written.find(std::string(key));
    CHECK_MESSAGE((found != sample.written.end() && found->second == record->value),
                  "served, and nobody wrote it: " << key);
    return true;
  };
  static_cast<void>(file.scan(0, "", false, judge));
  static_cast<void>(file.walk(
      0, {0, 0}, [&](AliasDot, Bytes key, Bytes encoded) { return judge(key, encoded); }));
  std::string cursor;
  static_cast<void>(file.next_expired(0, noon, cursor, [](Bytes) { return true; }));
  for (const auto& [key, value] : sample.written) {
    static_cast<void>(file.get(0, key, [&key = key, &judge](const Bytes* encoded) {
      if (encoded != nullptr) judge(key, *encoded);
    }));
  }
  static_cast<void>(file.meta(0));
  // Writes go over every page of the table, and free most of them again.
  std::vector<FilePut> puts;
  std::vector<FileGrave> graves;
  std::map<std::string, std::string> encoded;
  std::uint64_t sequence = 1000;
  for (const auto& [key, value] : sample.written) {
    KeyedRecord entry = put(key, value + value, {here, ++sequence});
    if (sequence % 8 != 0) {
      entry = tombstone(key, {here, sequence});
      graves.push_back({{0, sequence}, key});
    }
    must(encode_record(encoded[key], entry.key, entry.record, sample.origins, {}));
    puts.push_back({key, encoded[key]});
  }
  const FileMeta meta;
  static_cast<void>(write_puts(file, puts, &meta));
  static_cast<void>(remove_graves(file, graves));
  static_cast<void>(file.copy_to(path + ".copy"));
  std::filesystem::remove(path + ".copy");
}

TEST_CASE("LMDB pages: a file that was written to in every way has no fault") {
  Random random(7);
  Sample sample(0);
  auto file = must(CollectionFile::create({.path = sample.directory.file("many.mdb")}, {"m", 1}));
  std::uint64_t sequence = 1000;
  for (std::uint64_t round = 1; round <= 300; ++round) {
    std::string key = std::to_string(random.below(200));
    key.resize(key.size() + random.below(300), 'k');
    const std::size_t bytes = random.below(random.below(4) == 0 ? 40'000 : 800);
    sample.put_record(*file, key, std::string(bytes, 'v'), round);
    if (random.below(3) == 0) {
      std::string encoded;
      const KeyedRecord entry = tombstone(key, {here, ++sequence});
      must(encode_record(encoded, key, entry.record, sample.origins, {}));
      must(write_puts(*file, {{key, encoded}}));
    }
    if (random.below(20) == 0) {
      std::vector<FileGrave> graves;
      must(file->graves(0, {0, 0}, [&](AliasDot dot, Bytes of) {
        graves.push_back({dot, std::string(of)});
        return true;
      }));
      must(remove_graves(*file, graves));
    }
    CAPTURE(round);
    REQUIRE(LmdbImage(file->path()).fault().empty());
  }
  must(file->copy_to(sample.directory.file("copy.mdb")));
  CHECK(LmdbImage(sample.directory.file("copy.mdb")).fault().empty());
  CHECK(must(inspect_lmdb_file(file->path())) > 0);
}

// The places of one file that the damages below are about.
struct Places {
  explicit Places(const LmdbImage& image)
      : meta(image.newest_meta()),
        data(image.tree("data")),
        record(image.offset_of(image.table("data").data)),
        root(data.root),
        leaf(image.child(root, 1)),
        other(image.child(root, 2)) {
    REQUIRE(data.depth == 2);
    for (const std::uint64_t number : image.pages_in_use()) {
      const auto head = image.get<lmdb::PageHead>(image.offset_of(number));
      if (head.flags == lmdb::page_is_overflow) big = number;
    }
    REQUIRE(big != 0);
    const Bytes list = image.page(meta.free.root);
    for (std::size_t i = 0; i < lmdb::node_count(list); ++i) {
      const lmdb::Node node = lmdb::node_at(list, i, lmdb::PageKind::leaf);
      last_free_key = image.offset_of(node.key);
      const bool inside = node.flags == 0;
      if (inside && image.get<std::uint64_t>(image.offset_of(node.data)) >= 2)
        free_list = image.offset_of(node.data);
    }
    REQUIRE(free_list != 0);
  }
  lmdb::MetaPage meta;
  lmdb::TreeHead data;
  std::size_t record;  // Of the table `data`.
  std::uint64_t root;
  std::uint64_t leaf;
  std::uint64_t other;
  std::uint64_t big = 0;
  std::size_t free_list = 0;  // One of two pages or more.
  std::size_t last_free_key = 0;
};

constexpr std::size_t flags_at = 10;  // Within a page, as the next ones.
constexpr std::size_t lower_at = 12;
constexpr std::size_t upper_at = 14;
constexpr std::size_t offsets_at = 16;

struct Damage {
  const char* what;
  const char* fault;
  void (*make)(LmdbImage& image, const Places& at);
};

const Damage damages[] = {
    {"a page number", "it has the number of another page",
     [](LmdbImage& image, const Places& at) { image.set(image.offset_of(at.leaf), at.other); }},
    {"a leaf that is a branch", "it is no leaf page",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + flags_at, lmdb::page_is_branch);
     }},
    {"a page that is being written", "it is no leaf page",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + flags_at, lmdb::page_is_leaf | 0x10);
     }},
    {"a branch that is a leaf", "it is no branch page",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.root) + flags_at, lmdb::page_is_leaf);
     }},
    {"no entries", "it has no entries",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + lower_at, 16);
     }},
    {"half an entry", "it has no entries, or half ones",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.offset_of(at.leaf) + lower_at] ^= 1;
     }},
    {"free space that ends before it begins", "its free space is not on it",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + upper_at, 16);
     }},
    {"free space behind the page", "its free space is not on it",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + upper_at, 0xfff0);
     }},
    {"an entry in the free space", "it leads to an entry that is not on it",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + offsets_at, 20);
     }},
    {"an entry behind the page", "it leads to an entry that is not on it",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.leaf) + offsets_at, 0xf000);
     }},
    {"an entry twice", "two of its entries are in one place",
     [](LmdbImage& image, const Places& at) {
       const std::size_t first = image.offset_of(at.leaf) + offsets_at;
       image.set(first, image.get<std::uint16_t>(first + 2));
     }},
    {"an entry that begins within another one", "its entries",
     [](LmdbImage& image, const Places& at) {
       const std::size_t first = image.offset_of(at.leaf) + offsets_at;
       image.set<std::uint16_t>(first,
                                static_cast<std::uint16_t>(image.get<std::uint16_t>(first) + 2));
     }},
    {"a key that is too long", "its",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.node_offset(at.leaf, 0) + 6, 60'000);
     }},
    {"a value that is too long", "its",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.node_offset(at.leaf, 0) + 3] ^= 0x40;
     }},
    {"a flag of an entry", "its",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.node_offset(at.leaf, 0) + 4] ^= lmdb::node_is_big;
     }},
    {"an entry that says it has many values", "it has an entry of another kind",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.node_offset(at.leaf, 0) + 4] ^= 4;
     }},
    {"keys in another order", "its keys are not in order",
     [](LmdbImage& image, const Places& at) {
       const std::size_t first = image.offset_of(at.leaf) + offsets_at;
       const auto held = image.get<std::uint16_t>(first);
       image.set(first, image.get<std::uint16_t>(first + 2));
       image.set(first + 2, held);
     }},
    {"a key that belongs on an earlier page", "its keys are not in order",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.offset_of(lmdb::node_key(image.page(at.leaf), 0))] = 'a';
     }},
    {"a key that belongs on a later page", "it has keys that belong on another page",
     [](LmdbImage& image, const Places& at) {
       const std::size_t last = lmdb::node_count(image.page(at.leaf)) - 1;
       image.bytes[image.offset_of(lmdb::node_key(image.page(at.leaf), last))] = 'z';
     }},
    {"a key that a branch says otherwise", "",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.offset_of(lmdb::node_key(image.page(at.root), 1))] ^= 8;
     }},
    {"a child behind the file", "which is not in use",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.node_offset(at.root, 1) + 2] ^= 0x10;
     }},
    {"a child far behind the file", "which is not in use",
     [](LmdbImage& image, const Places& at) {
       image.bytes[image.node_offset(at.root, 1) + 5] ^= 0x10;
     }},
    {"a child that is a meta page", "page 1, which is not in use",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.node_offset(at.root, 1), 1);
     }},
    {"a child that is its parent", "it is no leaf page",
     [](LmdbImage& image, const Places& at) {
       image.set(image.node_offset(at.root, 1), static_cast<std::uint16_t>(at.root));
     }},
    {"a child twice", "",
     [](LmdbImage& image, const Places& at) {
       image.set(image.node_offset(at.root, 1), static_cast<std::uint16_t>(at.other));
     }},
    {"a big value that is another page", "it is no overflow page",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.big) + flags_at, lmdb::page_is_leaf);
     }},
    {"a big value with the number of another one", "it has the number of another page",
     [](LmdbImage& image, const Places& at) { image.bytes[image.offset_of(at.big)] ^= 1; }},
    {"a big value of fewer pages", "2 pages for a value of",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.big) + lower_at, 2);
     }},
    {"a big value that goes on behind the file", "pages for a value of",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.big) + upper_at, 1);
     }},
    {"a big value that takes in the next page", "it is used for two things",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint16_t>(image.offset_of(at.big) + lower_at, 4);
     }},
    {"a tree with flags", "keys of another kind",
     [](LmdbImage& image, const Places& at) { image.bytes[at.record + 4] ^= 4; }},
    {"a deeper tree", "it is no branch page",
     [](LmdbImage& image, const Places& at) { image.set<std::uint16_t>(at.record + 6, 3); }},
    {"a shallower tree", "it is no leaf page",
     [](LmdbImage& image, const Places& at) { image.set<std::uint16_t>(at.record + 6, 1); }},
    {"a tree of a thousand levels", "a tree that cannot be there",
     [](LmdbImage& image, const Places& at) { image.set<std::uint16_t>(at.record + 6, 1000); }},
    {"a tree that begins elsewhere", "",
     [](LmdbImage& image, const Places& at) { image.set(at.record + 40, at.leaf); }},
    {"a tree that begins behind the file", "a tree that cannot be there",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint64_t>(at.record + 40, at.meta.last_page + 1);
     }},
    {"more entries", "not as many pages and entries",
     [](LmdbImage& image, const Places& at) { image.bytes[at.record + 32] ^= 1; }},
    {"more leaf pages", "not as many pages and entries",
     [](LmdbImage& image, const Places& at) { image.bytes[at.record + 16] ^= 1; }},
    {"more branch pages", "not as many pages and entries",
     [](LmdbImage& image, const Places& at) { image.bytes[at.record + 8] ^= 1; }},
    {"more overflow pages", "not as many pages and entries",
     [](LmdbImage& image, const Places& at) { image.bytes[at.record + 24] ^= 1; }},
    {"a table that is none", "it has an entry that is no table",
     [](LmdbImage& image, const Places&) {
       const std::uint64_t main = image.newest_meta().main.root;
       image.bytes[image.node_offset(main, 0) + 4] ^= lmdb::node_is_tree;
     }},
    {"a free page that is in use", "",
     [](LmdbImage& image, const Places& at) { image.set(at.free_list + 8, at.leaf); }},
    {"a free page behind the file", "its list of free pages is not in order",
     [](LmdbImage& image, const Places& at) {
       image.set<std::uint64_t>(at.free_list + 8, at.meta.last_page + 1);
     }},
    {"a free page twice", "its list of free pages is not in order",
     [](LmdbImage& image, const Places& at) {
       image.set(at.free_list + 16, image.get<std::uint64_t>(at.free_list + 8));
     }},
    {"more free pages than there is room for", "its list of free pages is longer than it",
     [](LmdbImage& image, const Places& at) { image.bytes[at.free_list + 1] ^= 0x10; }},
    {"free pages of the future", "free pages of the future",
     [](LmdbImage& image, const Places& at) { image.bytes[at.last_free_key + 7] ^= 0x10; }},
};

TEST_CASE("LMDB pages: every kind of damage is found, with its page, and refused with the cure") {
  Sample sample;
  const LmdbImage whole(sample.path);
  REQUIRE(whole.fault().empty());
  const Places places(whole);
  for (const Damage& damage : damages) {
    CAPTURE(damage.what);
    LmdbImage image = whole;
    damage.make(image, places);
    const std::string fault = image.fault();
    CAPTURE(fault);
    CHECK(!fault.empty());
    CHECK(fault.find(damage.fault) != std::string::npos);
    image.save(sample.path);
    const auto refused = CollectionFile::open({.path = sample.path});
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::corrupt);
    const std::string& message = refused.error().message;
    CHECK(message.find(sample.path + " is damaged in " + fault) == 0);
    CHECK(message.find("backup") != std::string::npos);
  }
}

TEST_CASE("LMDB pages: what LMDB leaves unused is no damage") {
  Sample sample;
  const LmdbImage whole(sample.path);
  const Places places(whole);
  SUBCASE("a list of free pages that holds none") {
    LmdbImage image = whole;
    image.set<std::uint64_t>(places.free_list, 0);
    image.save(sample.path);
  }
  SUBCASE("free pages, and the middle of others") {
    LmdbImage image = whole;
    const auto head = image.get<lmdb::PageHead>(image.offset_of(places.leaf));
    for (std::size_t i = head.lower; i < head.upper; ++i)
      image.bytes[image.offset_of(places.leaf) + i] = '?';
    for (std::uint64_t i = 1; i <= image.get<std::uint64_t>(places.free_list); ++i) {
      const auto number = image.get<std::uint64_t>(places.free_list + 8 * i);
      image.bytes.replace(image.offset_of(number), LmdbImage::page_bytes, LmdbImage::page_bytes,
                          '?');
    }
    image.save(sample.path);
  }
  CHECK(LmdbImage(sample.path).fault().empty());
  use(sample, sample.path);
}

// A file that is looked at in slices, as a running node does it.
std::string fault_in_slices(const std::string& path, std::size_t leaves, std::uint64_t& bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  std::string fault;
  LmdbPlace place;
  for (bool more = true; more;) {
    auto slice = inspect_lmdb_slice(descriptor, path, place, leaves);
    more = slice && slice->more;
    if (!slice) fault = slice.error().message;
    if (slice) bytes += slice->bytes;
    if (slice) place = slice->next;
  }
  ::close(descriptor);
  return fault;
}

TEST_CASE("LMDB pages: slices come by every page, and find what is wrong with any of them") {
  Sample sample;
  const LmdbImage whole(sample.path);
  const Places places(whole);
  std::uint64_t all = 0;
  CHECK(fault_in_slices(sample.path, 1000, all).empty());
  CHECK(all >= (whole.pages_in_use().size() - 2) * LmdbImage::page_bytes);
  std::uint64_t bytes = 0;
  CHECK(fault_in_slices(sample.path, 1, bytes).empty());
  CHECK_MESSAGE(bytes >= all, "the pages above a leaf are looked at for each");
  for (const std::uint64_t number : whole.pages_in_use()) {
    CAPTURE(number);
    LmdbImage image = whole;
    image.bytes[image.offset_of(number)] ^= 4;
    image.save(sample.path);
    CHECK(fault_in_slices(sample.path, 1, bytes).find("page " + std::to_string(number)) !=
          std::string::npos);
  }
}

TEST_CASE("LMDB pages: a file in use that turns out to be damaged is not used any more") {
  Sample sample;
  auto file = must(CollectionFile::open({.path = sample.path}));
  LmdbPlace place;
  std::uint64_t bytes = 0;
  while (must(file->inspect(place, 4, bytes))) {
  }
  CHECK(file->trust());
  const LmdbImage image(sample.path);
  const std::uint64_t leaf = Places(image).leaf;
  std::fstream(sample.path, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(image.offset_of(leaf) + flags_at))
      .put('\x01');
  place = {};
  Result<bool> more(true);
  while (more && *more)
    more = file->inspect(place, 4, bytes);
  REQUIRE(!more);
  CHECK(more.error().message.find("page " + std::to_string(leaf)) != std::string::npos);
  const auto refuses = [&](const Status& status) {
    REQUIRE(!status);
    CHECK(status.error().code == ErrorCode::corrupt);
    CHECK(status.error().message == more.error().message);
  };
  refuses(file->trust());
  refuses(file->get(0, "key0", [](const Bytes*) {}));
  refuses(file->scan(0, "", false, [](Bytes, Bytes) { return true; }));
  const FileMeta meta;
  refuses(write_puts(*file, {}, &meta));
  refuses(file->copy_to(sample.directory.file("copy")));
}

// Of the damaged files that pass, one of so many is used: that takes a hundred times as long as a
// look.
constexpr std::size_t used_one_of = 61;

TEST_CASE("LMDB pages: no bit that flips in a page ends the process or makes up a value") {
  Sample sample(30);
  const LmdbImage whole(sample.path);
  LmdbImage image = whole;
  std::size_t found = 0;
  std::size_t passed = 0;
  for (const std::uint64_t number : whole.pages_in_use()) {
    for (std::size_t i = 0; i < LmdbImage::page_bytes; ++i) {
      char& byte = image.bytes[image.offset_of(number) + i];
      // Every bit of what stands at the beginning, and one of each byte behind.
      const bool all = i < 64;
      for (std::size_t bit = all ? 0 : (i + number) % 8; bit < 8; bit += all ? 1 : 8) {
        byte = static_cast<char>(byte ^ (1 << bit));
        if (!image.fault().empty()) {
          ++found;
        } else if (++passed % used_one_of == 0) {
          CAPTURE(number);
          CAPTURE(i);
          CAPTURE(bit);
          image.save(sample.path);
          use(sample, sample.path);
        }
        byte = static_cast<char>(byte ^ (1 << bit));
      }
    }
  }
  MESSAGE(found << " flips were found, " << passed << " are in values, or in nothing");
  CHECK(found > 1000);
  CHECK(image.bytes == whole.bytes);
}

TEST_CASE("LMDB pages: many bytes that change at once do not, either") {
  const char* seed_text = std::getenv("DHRT_SEED");
  const std::uint64_t seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  MESSAGE("DHRT_SEED=" << seed);
  Random random(seed);
  Sample sample;
  const LmdbImage whole(sample.path);
  const std::vector<std::uint64_t> pages = whole.pages_in_use();
  std::size_t passed = 0;
  for (int round = 0; round < 5'000; ++round) {
    CAPTURE(round);
    LmdbImage image = whole;
    for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const std::uint64_t number = pages[random.below(pages.size())];
      // Most of what LMDB believes stands at the beginning of a page and of an entry.
      const bool at_head = random.below(2) == 0;
      const std::size_t i = random.below(at_head ? 64 : LmdbImage::page_bytes);
      image.bytes[image.offset_of(number) + i] = static_cast<char>(random.below(256));
    }
    if (!image.fault().empty()) continue;
    if (++passed % (used_one_of / 4) != 0) continue;
    image.save(sample.path);
    use(sample, sample.path);
  }
  CHECK(passed > 100);
}

}  // namespace
}  // namespace dhrt::test
