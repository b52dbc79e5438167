#include "storage/catalog.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/storage/engine_bench.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

struct Node {
  std::unique_ptr<MemoryStore> store = make_memory_store({});
  HybridClock clock;
  RecordWriter writer;
  Catalog catalog;

  explicit Node(Origin origin, CatalogOptions options = {})
      : writer(*store, clock, origin), catalog(*store, writer, options) {
    must(catalog.load(noon));
  }
  std::string names() const {
    std::string names;
    for (const std::string& name : catalog.names())
      names += name + " ";
    return names;
  }
  // Sends what was written here to a peer, as a broadcast would.
  void tell(Node& peer) {
    std::vector<KeyedRecord> records;
    for (Catalog::WrittenConfig& written : catalog.take_written())
      records.push_back(std::move(written.record));
    must(peer.writer.push(peer.catalog.configurations(), views_of(records), noon));
    must(peer.catalog.refresh(records));
  }
};

TEST_CASE("catalog: a collection is made on first use, and told to the peers once") {
  Node node(here);
  Collection* users = must(node.catalog.find_or_create("users", noon));
  REQUIRE(users != nullptr);
  CHECK(users->ref() == CollectionRef{"users", 1});
  CHECK(must(node.catalog.find_or_create("users", noon)) == users);
  CHECK(node.catalog.find("users") == users);
  CHECK(node.catalog.find("people") == nullptr);
  CHECK(node.names() == "users ");
  CHECK(node.catalog.take_written().size() == 1);
  CHECK(node.catalog.take_written().empty());
}

TEST_CASE("catalog: names that are none, or the system's own, cannot be made") {
  Node node(here);
  for (const char* name : {"", "_sys", "_other", "a/b", "..", "-x"}) {
    CAPTURE(name);
    const auto made = node.catalog.find_or_create(name, noon);
    REQUIRE(!made);
    CHECK(made.error().code == ErrorCode::invalid_argument);
  }
  CHECK(!node.catalog.find_or_create(std::string(65, 'a'), noon));
  CHECK(node.catalog.find_or_create(std::string(64, 'a'), noon));
}

TEST_CASE("catalog: a configuration is kept, and read again at the next start") {
  Node node(here);
  const CollectionConfig config{.memory = true,
                                .replicas = 3,
                                .ttl_milliseconds = 5000,
                                .on_conflict = OnConflict::keep,
                                .miss = MissPolicy::local};
  must(node.catalog.create("users", config, noon));
  CHECK(node.catalog.config("users") == config);
  const auto again = node.catalog.create("users", config, noon);
  REQUIRE(!again);
  CHECK(again.error().code == ErrorCode::precondition);

  Catalog later(*node.store, node.writer, {});
  must(later.load(noon));
  CHECK(later.config("users") == config);
}

TEST_CASE("catalog: two names say by themselves where their records are kept") {
  for (const bool memory_node : {false, true}) {
    Node node(here, {.memory = memory_node});
    CHECK(node.catalog.default_config("users").memory == memory_node);
    must(node.catalog.find_or_create("memory", noon));
    must(node.catalog.find_or_create("hdd", noon));
    CHECK(node.catalog.config("memory").memory);
    CHECK_FALSE(node.catalog.config("hdd").memory);
    must(node.catalog.drop("memory", noon));
    must(node.catalog.drop("hdd", noon));
    for (const bool memory : {false, true}) {
      const std::string name = memory ? "hdd" : "memory";
      CAPTURE(name);
      const auto made = node.catalog.create(name, {.memory = memory}, noon);
      REQUIRE_FALSE(made);
      CHECK(made.error().code == ErrorCode::invalid_argument);
      CHECK(made.error().message.find("as its name says") != std::string::npos);
      CHECK(node.catalog.create(name, {.memory = !memory}, noon));
    }
  }
}

TEST_CASE("catalog: a dropped collection comes back as another life") {
  Node node(here);
  must(node.catalog.find_or_create("users", noon));
  must(node.catalog.drop("users", noon));
  CHECK(node.catalog.find("users") == nullptr);
  CHECK(node.names().empty());
  const Status again = node.catalog.drop("users", noon);
  REQUIRE(!again);
  CHECK(again.error().code == ErrorCode::not_found);
  CHECK(must(node.catalog.find_or_create("users", noon))->ref().generation == 2);

  must(node.catalog.find_or_create("default", noon));
  const Status refused = node.catalog.drop("default", noon);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("catalog: a life of which nothing is recorded ends with the next start, if it is empty") {
  for (const bool has_data : {false, true}) {
    CAPTURE(has_data);
    Node node(here);
    must(node.catalog.find_or_create("users", noon));
    // A power cut took the configuration, and perhaps not what came behind it.
    for (const CollectionRef& ref : {CollectionRef{"users", 3}, CollectionRef{"others", 2}})
      must(node.store->open({.ref = ref}));
    if (has_data) {
      must(node.writer.write(*node.catalog.find("users"), {.key = "k", .value = "v"}, noon));
      must(node.writer.write(*node.catalog.find("others"), {.key = "k", .deletes = true}, noon));
    }
    Catalog later(*node.store, node.writer, {});
    must(later.load(noon));
    CHECK(later.find("users")->ref().generation == (has_data ? 3 : 1));
    CHECK((later.find("others") != nullptr) == has_data);
    CHECK((must(later.for_peer({"users", 1})) != nullptr) == !has_data);
  }
}

TEST_CASE("catalog: the limit of collections is an error that names its option") {
  Node node(here, {.memory = false, .collections_max = 2});
  must(node.catalog.find_or_create("a", noon));
  must(node.catalog.find_or_create("b", noon));
  const auto refused = node.catalog.find_or_create("c", noon);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::full);
  CHECK(refused.error().message.find("--max-collections") != std::string::npos);
  CHECK(node.catalog.find_or_create("a", noon));
}

TEST_CASE("catalog: peers make and drop what they are told") {
  Node node(here);
  Node peer(there);
  must(node.catalog.create("users", {.replicas = 2}, noon));
  node.tell(peer);
  REQUIRE(peer.catalog.find("users") != nullptr);
  CHECK(peer.catalog.config("users").replicas == 2);
  must(node.catalog.drop("users", noon));
  node.tell(peer);
  CHECK(peer.catalog.find("users") == nullptr);
  must(peer.catalog.find_or_create("users", noon));
  peer.tell(node);
  REQUIRE(node.catalog.find("users") != nullptr);
  CHECK(node.catalog.find("users")->ref().generation == 2);
}

TEST_CASE("catalog: a message about a life that is over finds nothing, a later life ends ours") {
  Node node(here);
  must(node.catalog.find_or_create("users", noon));
  CHECK(must(node.catalog.for_peer({"users", 1})) == node.catalog.find("users"));
  CHECK(must(node.catalog.for_peer({"users", 0})) == nullptr);
  CHECK(must(node.catalog.for_peer({"users", 4}))->ref().generation == 4);
  CHECK(must(node.catalog.for_peer({"users", 3})) == nullptr);
  CHECK(must(node.catalog.for_peer({"unheard-of", 1})) != nullptr);
  CHECK(must(node.catalog.for_peer({"../escape", 1})) == nullptr);

  must(node.catalog.drop("users", noon));
  CHECK_MESSAGE(must(node.catalog.for_peer({"users", 4})) == nullptr, "the drop is remembered");
}

TEST_CASE("catalog: says once which lives of collections ended") {
  Node node(here);
  must(node.catalog.find_or_create("users", noon));
  must(node.catalog.for_peer({"users", 4}));
  must(node.catalog.drop("users", noon));
  CHECK(node.catalog.take_gone() == std::vector<CollectionRef>{{"users", 1}, {"users", 4}});
  CHECK(node.catalog.take_gone().empty());
}

TEST_CASE("catalog: on disk, collections and drops survive a restart") {
  const TemporaryDirectory directory;
  for (int start = 0; start < 2; ++start) {
    CAPTURE(start);
    const auto run = static_cast<std::uint32_t>(start + 1);
    EngineStore engine(open_engine(engine_options(directory.path(), run)));
    Store* const store = &engine;
    HybridClock clock;
    RecordWriter writer(*store, clock, own_origin(run));
    Catalog catalog(*store, writer, {});
    must(catalog.load(noon));
    if (start == 0) {
      Collection* users = must(catalog.find_or_create("users", noon));
      must(catalog.find_or_create("people", noon));
      must(writer.write(*users, {.key = "a", .value = "1"}, noon));
      must(catalog.drop("people", noon));
      must(store->drain());
      continue;
    }
    REQUIRE(catalog.find("users") != nullptr);
    CHECK(must(catalog.find("users")->find("a"))->value == "1");
    CHECK(catalog.find("people") == nullptr);
    CHECK(catalog.config("people").generation == 2);
  }
}

TEST_CASE("catalog: on disk, too, a life of which nothing is recorded ends with the next start") {
  const TemporaryDirectory directory;
  for (int start = 0; start < 3; ++start) {
    CAPTURE(start);
    const auto run = static_cast<std::uint32_t>(start + 1);
    EngineStore engine(open_engine(engine_options(directory.path(), run)));
    Store* const store = &engine;
    HybridClock clock;
    RecordWriter writer(*store, clock, own_origin(run));
    Catalog catalog(*store, writer, {});
    must(catalog.load(noon));
    if (start == 0) {
      must(catalog.find_or_create("users", noon));
      must(store->open({.ref = {"users", 3}}));
      must(store->drain());
      continue;
    }
    REQUIRE(catalog.find("users") != nullptr);
    CHECK(catalog.find("users")->ref().generation == 1);
    CHECK(must(catalog.for_peer({"users", 1})) != nullptr);
    if (start == 1) must(writer.write(*catalog.find("users"), {.key = "a", .value = "1"}, noon));
    if (start == 2) CHECK(must(catalog.find("users")->find("a"))->value == "1");
    must(store->drain());
  }
}

TEST_CASE("configuration: every field is read back, and every cut is noticed") {
  const CollectionConfig config{.generation = 9,
                                .exists = false,
                                .memory = true,
                                .replicas = 3,
                                .partitions = 64,
                                .ttl_milliseconds = 1ULL << 40,
                                .on_conflict = OnConflict::keep,
                                .miss = MissPolicy::automatic};
  const std::string bytes = encode_config(config);
  REQUIRE(decode_config(bytes));
  CHECK(*decode_config(bytes) == config);
  CHECK_MESSAGE(*decode_config(bytes + "more") == config, "fields of later versions are skipped");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut)
    CHECK(!decode_config(Bytes(bytes).substr(0, cut)));
  for (const std::size_t place : {std::size_t{0}, bytes.size() - 1, bytes.size() - 2}) {
    std::string bad = bytes;
    bad[place] = 9;
    CHECK(!decode_config(bad));
  }
}

}  // namespace
}  // namespace dhrt::test
