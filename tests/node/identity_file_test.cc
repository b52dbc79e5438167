#include "node/identity_file.h"

#include <fstream>

#include <doctest/doctest.h>

#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

NodeIdentity example() {
  NodeIdentity identity{.node_id = 0xfedcba9876543210, .epoch = 7, .incarnation = 1700000000000};
  identity.hlc_ceiling = std::uint64_t{1700000010000} << 16;
  identity.belonging = {{1, 0xffffffffffffffff}, true};
  identity.members.push_back({.id = 3,
                              .name = "b\"\n",
                              .address = "host:7453",
                              .zone = "z",
                              .epoch = 9,
                              .incarnation = 11,
                              .liveness = Liveness::dead,
                              .died = 10,
                              .synced = {8, 9},
                              .features = 0x8000000000000000});
  identity.layout = {
      .cluster = identity.belonging.id,
      .layout = {.voters = {0xfedcba9876543210, 3}, .next = {4, 5, 6}, .retired = {7, 8}},
      .promised = {0xffffffffffffffff, 6},
      .accepted = {4, 5}};
  identity.replacement = {.node = "db\t2", .id = 9, .done = true};
  return identity;
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("identity file: what is written is read again") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/identity.json";
  const NodeIdentity written = example();
  REQUIRE(write_identity(path, written));
  const auto read = read_identity(path);
  REQUIRE(read);
  REQUIRE(read->has_value());
  const NodeIdentity& identity = **read;
  CHECK(identity.node_id == written.node_id);
  CHECK(identity.epoch == written.epoch);
  CHECK(identity.incarnation == written.incarnation);
  CHECK(identity.hlc_ceiling == written.hlc_ceiling);
  CHECK(identity.belonging == written.belonging);
  CHECK(identity.members == written.members);
  CHECK(identity.layout == written.layout);
  CHECK(identity.replacement == written.replacement);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("identity file: one of an earlier version reserved no versions") {
  std::string text = encode_identity(example());
  const std::size_t begin = text.find("\"hlc_ceiling\"");
  REQUIRE(begin != std::string::npos);
  text.erase(begin, text.find(',', begin) + 1 - begin);
  const auto identity = decode_identity(text);
  REQUIRE(identity);
  CHECK(identity->hlc_ceiling == 0);
  CHECK(identity->epoch == example().epoch);
}

TEST_CASE("identity file: in one of an earlier version nobody noted who votes") {
  std::string text = encode_identity(example());
  const std::size_t begin = text.find(",\"layout\"");
  REQUIRE(begin != std::string::npos);
  SUBCASE("which is no damage") {
    text.erase(begin, text.find('}', begin) + 1 - begin);
    const auto identity = decode_identity(text);
    REQUIRE(identity);
    CHECK(identity->layout == LayoutNotes{});
    CHECK(identity->members == example().members);
  }
  // What a voter has promised is not to be forgotten.
  for (const std::string field : {"cluster_high", "voters", "adding", "promised", "accepted"}) {
    SUBCASE(("but what is there is whole: " + field).c_str()) {
      text.replace(text.find("\"" + field + "\"", begin) + 1, 1, "_");
      const auto identity = decode_identity(text);
      REQUIRE_FALSE(identity);
      CHECK(identity.error().message.find("layout") != std::string::npos);
      CHECK(identity.error().message.find(field) != std::string::npos);
    }
  }
  SUBCASE("and a ballot has two parts") {
    const std::size_t part = text.find("[\"4\",\"5\"]", begin);
    REQUIRE(part != std::string::npos);
    text.replace(part, 9, "[\"4\"]");
    CHECK_FALSE(decode_identity(text));
  }
}

TEST_CASE("identity file: no file is a new node, not an error") {
  const TemporaryDirectory directory;
  const auto read = read_identity(directory.path() + "/identity.json");
  REQUIRE(read);
  CHECK_FALSE(read->has_value());
}

TEST_CASE("identity file: a damaged file is an error that names it") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/identity.json";
  const std::string good = encode_identity(example());
  struct Case {
    const char* why;
    std::string text;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const Case& c : {
           Case{"nothing was written", ""},
           Case{"the end is missing", good.substr(0, good.size() / 2)},
           Case{"not JSON", "node_id = 3"},
           Case{"not an object", "[]"},
           Case{"another format", with("\"format\":1", "\"format\":2")},
           Case{"a field is absent", with("\"epoch\"", "\"other\"")},
           Case{"a number is text", with("\"epoch\":7", "\"epoch\":\"7\"")},
           Case{"an id is no number", with("fedcba9876543210", "fedcba987654321x")},
           Case{"no node has id 0", with("fedcba9876543210", "0")},
           Case{"an epoch beyond its width", with("\"epoch\":7", "\"epoch\":4294967296")},
           Case{"a liveness that there is not", with("\"liveness\":2", "\"liveness\":5")},
       }) {
    CAPTURE(c.why);
    write_text(path, c.text);
    const auto read = read_identity(path);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::corrupt);
    CHECK(read.error().message.find(path) != std::string::npos);
  }
}

TEST_CASE("identity file: every start has a higher epoch and incarnation, whatever the clock") {
  const NodeIdentity first = next_start(std::nullopt, 5, 1700000000000);
  CHECK(first.node_id == 5);
  CHECK(first.epoch == 1700000000);
  CHECK(first.incarnation == 1700000000000);
  const NodeIdentity clock_went_back = next_start(first, 6, 1000);
  CHECK(clock_went_back.node_id == 5);
  CHECK(clock_went_back.epoch == first.epoch + 1);
  CHECK(clock_went_back.incarnation == first.incarnation + 1);
}

TEST_CASE("identity file: a data directory belongs to one live node") {
  const TemporaryDirectory directory;
  const RunningNode first(node_options(directory.path()));
  REQUIRE(first.error() == "");
  const RunningNode second(node_options(directory.path()));
  CHECK(second.error().find("in use by a live node") != std::string::npos);
}

}  // namespace dhrt
