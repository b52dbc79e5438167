#include "node/dump_file.h"

#include <doctest/doctest.h>

#include "tests/node/temporary_folder.h"

namespace dhrt::test {
namespace {

// Lines that differ, and one that is longer than a frame.
std::vector<std::string> sample_lines() {
  std::vector<std::string> lines;
  for (int i = 0; i < 2000; ++i)
    lines.push_back("line " + std::to_string(i) +
                    std::string(static_cast<std::size_t>(i % 7), 'x'));
  lines.emplace_back(std::size_t{3} << 20, 'y');
  lines.emplace_back();
  lines.emplace_back("the last");
  return lines;
}

void write_file(const std::string& path, const std::vector<std::string>& lines) {
  const Stream stream(std::fopen(path.c_str(), "wb"));
  REQUIRE(stream);
  DumpWriter writer(stream.get(), path, is_compressed_name(path));
  for (const std::string& line : lines)
    REQUIRE(writer.add(line).has_value());
  REQUIRE(writer.flush(true).has_value());
}

struct Lines {
  std::vector<std::string> lines;
  std::uint64_t bytes = 0;
  std::string error;
};

Lines read_file(const std::string& path, bool tail_counts) {
  const Stream stream(std::fopen(path.c_str(), "rb"));
  REQUIRE(stream);
  DumpReader reader(stream.get(), path, is_compressed_name(path));
  reader.tail_counts(tail_counts);
  Lines read;
  for (;;) {
    auto line = reader.next();
    if (!line) read.error = line.error().message;
    if (!line || !*line) break;
    read.lines.push_back(std::move(**line));
  }
  read.bytes = reader.bytes();
  return read;
}

}  // namespace

TEST_CASE("dump file: what was written is read again, plain and compressed") {
  for (const char* name : {"plain.ndjson", "small.zst"}) {
    CAPTURE(name);
    const TemporaryFolder folder;
    const auto lines = sample_lines();
    write_file(folder.file(name), lines);
    const Lines read = read_file(folder.file(name), true);
    CHECK(read.error == "");
    CHECK(read.lines == lines);
    CHECK(read.bytes == folder.read(name).size());
  }
}

TEST_CASE("dump file: of a file cut short, what is whole can be gone on with") {
  for (const char* name : {"plain.ndjson", "small.zst"}) {
    CAPTURE(name);
    const TemporaryFolder folder;
    write_file(folder.file(name), {"one", "two", "three"});
    const std::string first = folder.read(name);
    {
      const Stream stream(std::fopen(folder.file(name).c_str(), "ab"));
      DumpWriter writer(stream.get(), name, is_compressed_name(name));
      REQUIRE(writer.add("four").has_value());
      REQUIRE(writer.flush(false).has_value());
    }
    const std::string whole = folder.read(name);
    for (std::size_t size = first.size(); size < whole.size(); ++size) {
      const std::string cut = folder.write("cut" + std::string(name), whole.substr(0, size));
      CAPTURE(size);
      const Lines read = read_file(cut, false);
      CHECK(read.error == "");
      CHECK(read.lines == std::vector<std::string>{"one", "two", "three"});
      CHECK(read.bytes == first.size());
    }
  }
}

TEST_CASE("dump file: a compressed file that is cut short or changed is refused when it must be") {
  const TemporaryFolder folder;
  write_file(folder.file("a.zst"), {"one", "two", "three"});
  const std::string whole = folder.read("a.zst");
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const Lines read = read_file(folder.write("cut.zst", whole.substr(0, size)), true);
    CHECK(read.error.find("cut.zst is damaged") != std::string::npos);
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    const Lines read = read_file(folder.write("changed.zst", changed), true);
    const bool noticed = !read.error.empty();
    const bool harmless = read.lines == std::vector<std::string>{"one", "two", "three"};
    CHECK_MESSAGE((noticed || harmless), at);
  }
}

TEST_CASE("dump file: the checksum tells other lines and another order apart") {
  const auto sum = [](std::initializer_list<Bytes> lines) {
    LineChain chain;
    for (const Bytes line : lines)
      chain.add(line);
    return chain.text();
  };
  CHECK(sum({"a", "b"}) == sum({"a", "b"}));
  CHECK(sum({"a", "b"}) != sum({"b", "a"}));
  CHECK(sum({"ab"}) != sum({"a", "b"}));
  CHECK(sum({"a"}).size() == 16);
}

}  // namespace dhrt::test
