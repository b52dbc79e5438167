#include "node/descriptors.h"

#include <fstream>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include "tests/node/cli_fixture.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

using test::contains;

namespace {

NodeOptions with_limits(std::uint64_t clients, std::uint64_t collections, bool memory = false) {
  NodeOptions options;
  options.max_clients = clients;
  options.max_collections = collections;
  options.memory = memory;
  return options;
}

std::uint64_t open_now() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::uint64_t>(std::distance(begin(all), end(all)));
}

// Puts the limit of this process back.
class RestoredLimit {
 public:
  RestoredLimit() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~RestoredLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("descriptors: clients, collections with their locks, and a reserve are asked for") {
  CHECK(descriptors_wanted(with_limits(10'000, 10'000)) == 31'024);
  CHECK(descriptors_wanted(with_limits(10'000, 10'000, true)) == 11'024);
}

TEST_CASE("descriptors: with fewer of them a node takes less, and always something") {
  struct Case {
    const char* why;
    std::uint64_t descriptors;
    NodeOptions options;
    NodeCapacity capacity;
  };
  for (const Case& c : {
           Case{"enough", 31'024, with_limits(10'000, 10'000), {10'000, 10'000}},
           Case{"one too few", 31'023, with_limits(10'000, 10'000), {10'000, 9'999}},
           Case{"files get what clients leave",
                25'024,
                with_limits(10'000, 10'000),
                {10'000, 7'000}},
           Case{"but a quarter at least", 9'024, with_limits(10'000, 10'000), {6'000, 1'000}},
           Case{"few collections get all", 9'024, with_limits(10'000, 10), {7'980, 10}},
           Case{"of little the reserve is a quarter, too",
                1'024,
                with_limits(10'000, 10'000),
                {576, 96}},
           Case{"collections in memory have no file",
                1'024,
                with_limits(10'000, 10'000, true),
                {768, 10'000}},
           Case{"next to nothing", 2, with_limits(10'000, 10'000), {2, 1}},
       }) {
    CAPTURE(c.why);
    const NodeCapacity capacity = capacity_with(c.descriptors, c.options);
    CHECK(capacity.clients == c.capacity.clients);
    CHECK(capacity.collections == c.capacity.collections);
  }
}

TEST_CASE("descriptors: what the system does not give is said, with the flags and what to do") {
  const RestoredLimit restored;
  // Nobody gets more than this, not even root.
  std::uint64_t most = 0;
  std::ifstream("/proc/sys/fs/nr_open") >> most;
  REQUIRE(most > 0);
  NodeOptions options = with_limits(10'000, most);
  const auto said = fit_to_descriptors(options);
  REQUIRE(said);
  CAPTURE(*said);
  CHECK(contains(
      *said, "needed for --max-clients 10000 and --max-collections " + std::to_string(most) + ";"));
  CHECK(contains(*said, " and " + std::to_string(options.max_collections) + " collections;"));
  CHECK(contains(*said, "`ulimit -n`"));
  CHECK(options.max_collections < most / 2);
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(descriptors_wanted(options) <= limit.rlim_cur);

  NodeOptions modest = with_limits(10, 10);
  CHECK_FALSE(fit_to_descriptors(modest));
  CHECK(modest.max_collections == 10);
}

TEST_CASE("descriptors: a collection takes as many as are reckoned with") {
  constexpr std::uint64_t count = 40;
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  REQUIRE(client.line("set k v") == "+OK\r\n");
  REQUIRE(contains(client.bulk("backup one"), "collections"));
  const std::uint64_t before = open_now();
  for (std::uint64_t i = 0; i < count; ++i)
    REQUIRE(client.line("set c" + std::to_string(i) + " k v") == "+OK\r\n");
  // A backup writes all of it to the files first.
  REQUIRE(contains(client.bulk("backup two"), "collections"));
  CHECK(open_now() - before == descriptors_per_collection * count);
}

}  // namespace dhrt
