// Several event loops in one node: clients do not notice on which one they are.
#include <algorithm>
#include <array>
#include <atomic>
#include <set>

#include "node/identity_file.h"
#include "protocol/json.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

constexpr unsigned loops = 3;

NodeOptions loop_options(const std::string& data_dir, std::vector<std::string> flags = {}) {
  flags.insert(flags.end(), {"--cpu-num", std::to_string(loops)});
  NodeOptions options = node_options(data_dir, std::move(flags));
  options.cpu_num = loops;
  return options;
}

NodeOptions joining(NodeOptions options, const RunningNode& seed) {
  options.join.push_back(*parse_remote_address(seed.address()));
  return options;
}

// So many that every loop has several, also when some that accept at once choose the same loop.
std::vector<TestClient> many_clients(const RunningNode& node, std::size_t count = 50) {
  std::vector<TestClient> clients;
  clients.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    clients.emplace_back(node.port());
  return clients;
}

json::Document stats_of(TestClient& client) {
  auto document = json::Document::parse(client.bulk("stats"));
  REQUIRE(document);
  return std::move(*document);
}

std::int64_t figure(TestClient& client, Bytes name) {
  const json::Document stats = stats_of(client);
  const auto value = stats.root().member(name);
  REQUIRE(value);
  return value->integer().value_or(-1);
}

std::string text_figure(TestClient& client, Bytes name) {
  const json::Document stats = stats_of(client);
  const auto value = stats.root().member(name);
  REQUIRE(value);
  return value->string().value_or("");
}

std::string value_reply(const std::string& value) {
  return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

bool wait_for(const std::function<bool()>& holds) {
  const auto end = monotonic_now() + std::chrono::milliseconds(TestClient::patience_milliseconds);
  while (!holds())
    if (monotonic_now() > end) return false;
  return true;
}

}  // namespace

TEST_CASE("loops: clients are spread evenly over all of them") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  std::vector<TestClient> clients = many_clients(node);
  for (TestClient& client : clients)
    REQUIRE(client.line("ping") == "+PONG\r\n");
  const json::Document stats = stats_of(clients.front());
  const auto by_loop = stats.root().member("connections_by_loop");
  REQUIRE(by_loop);
  // The kernel's choice alone would be further from it in nine of ten runs.
  const auto even = static_cast<std::int64_t>(clients.size() / loops);
  std::int64_t sum = 0;
  for (const auto& count : by_loop->items()) {
    CHECK(count.integer().value_or(0) >= even - 3);
    CHECK(count.integer().value_or(0) <= even + 3);
    sum += count.integer().value_or(0);
  }
  CHECK(by_loop->items().size() == loops);
  CHECK(sum == static_cast<std::int64_t>(clients.size()));
  CHECK(figure(clients.front(), "event_loops") == loops);
  CHECK(figure(clients.front(), "connections") == sum);
}

TEST_CASE("loops: what is written on one is read on every other") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path()));
  REQUIRE(node.error() == "");
  std::vector<TestClient> clients = many_clients(node);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string value = "v" + std::to_string(i);
    REQUIRE(clients[i].line("set shared " + value) == "+OK\r\n");
    for (TestClient& reader : clients) {
      reader.send("get shared\n");
      REQUIRE(reader.receive(value_reply(value).size()) == value_reply(value));
    }
    CHECK(figure(clients[i], "keys") == 1);
  }
}

TEST_CASE("loops: clients that write the same key at once agree about what is there") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path()));
  REQUIRE(node.error() == "");
  constexpr int rounds = 300;
  std::atomic<int> wins = 0;
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 8; ++writer) {
    threads.emplace_back([&node, &wins, writer] {
      TestClient client(node.port());
      for (int i = 0; i < rounds; ++i) {
        const std::string reply = client.line("set round" + std::to_string(i) + " by" +
                                              std::to_string(writer) + " --if-absent");
        if (reply == "+OK\r\n") ++wins;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(wins == rounds);  // Of each key one, never two.
}

TEST_CASE("loops: a collection that all want at once is made once") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path()));
  REQUIRE(node.error() == "");
  constexpr std::size_t writers = 12;
  std::atomic<int> stored = 0;
  std::vector<std::thread> threads;
  for (std::size_t writer = 0; writer < writers; ++writer) {
    threads.emplace_back([&node, &stored, writer] {
      TestClient client(node.port());
      for (int i = 0; i < 20; ++i) {
        const std::string collection = "c" + std::to_string(i);
        if (client.line("set " + collection + " k" + std::to_string(writer) + " v") == "+OK\r\n")
          ++stored;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(stored == 20 * writers);
  TestClient client(node.port());
  CHECK(figure(client, "keys") == 20 * writers);
  CHECK(figure(client, "collections") == 20);
}

TEST_CASE("loops: collections are made and dropped under the feet of their users") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  std::atomic<bool> done = false;
  std::atomic<int> odd = 0;
  std::vector<std::thread> users;
  for (int user = 0; user < 6; ++user) {
    users.emplace_back([&node, &done, &odd] {
      TestClient client(node.port());
      while (!done) {
        client.send("set brief k v\nhas brief k\ncount brief\n");
        for (int i = 0; i < 3; ++i) {
          const std::string reply = client.receive_until("\r\n");
          if (!reply.starts_with('+') && !reply.starts_with(':') && !reply.starts_with("-ERR"))
            ++odd;
        }
      }
    });
  }
  TestClient dropper(node.port());
  for (int i = 0; i < 100; ++i)
    dropper.line("drop brief");
  done = true;
  for (std::thread& user : users)
    user.join();
  CHECK(odd == 0);
  CHECK(dropper.line("ping") == "+PONG\r\n");
}

TEST_CASE("loops: two nodes with several loops each converge, whoever wrote where") {
  const TemporaryDirectory directory;
  RunningNode first(loop_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  RunningNode second(joining(loop_options(directory.path() + "/b"), first));
  REQUIRE(second.error() == "");
  std::vector<TestClient> ones = many_clients(first);
  std::vector<TestClient> twos = many_clients(second);
  REQUIRE(ask_until(twos.front(), "set ready 1", "+OK") == "+OK\r\n");
  for (std::size_t i = 0; i < ones.size(); ++i) {
    REQUIRE(ones[i].line("set a" + std::to_string(i) + " v") == "+OK\r\n");
    REQUIRE(twos[i].line("set b" + std::to_string(i) + " v") == "+OK\r\n");
    ones[i].line("set both of-one");
    twos[i].line("set both of-two");
  }
  const std::string count = ":" + std::to_string(2 * ones.size() + 2) + "\r\n";
  CHECK(ask_until(ones.back(), "count", count) == count);
  CHECK(ask_until(twos.back(), "count", count) == count);
  CHECK(wait_for([&] {
    return text_figure(ones.back(), "sync_root") == text_figure(twos.back(), "sync_root");
  }));
  const std::string kept = ones.back().bulk("get both");
  CHECK((kept == "of-one" || kept == "of-two"));
  CHECK(twos.back().bulk("get both") == kept);
  CHECK(second.stop() == exit_code::done);
  CHECK(first.stop() == exit_code::done);
}

TEST_CASE("loops: what was written while the node was alone is pulled by who joins") {
  const TemporaryDirectory directory;
  RunningNode first(loop_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  std::vector<TestClient> ones = many_clients(first);
  for (std::size_t i = 0; i < ones.size(); ++i)
    REQUIRE(ones[i].line("set a" + std::to_string(i) + " v") == "+OK\r\n");
  RunningNode second(joining(loop_options(directory.path() + "/b"), first));
  REQUIRE(second.error() == "");
  TestClient two(second.port());
  const std::string count = ":" + std::to_string(ones.size()) + "\r\n";
  CHECK(ask_until(two, "count", count) == count);
  // And it can go on without the first.
  TestClient asking(second.port());
  CHECK(wait_for([&] { return asking.http("GET", "/_/health/ready").starts_with("200"); }));
  CHECK(first.stop() == exit_code::done);
  CHECK(TestClient(second.port()).line("count") == count);
}

TEST_CASE("loops: a read that misses is answered by a peer, whichever loop asked") {
  const TemporaryDirectory directory;
  RunningNode first(loop_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  RunningNode second(joining(loop_options(directory.path() + "/b"), first));
  REQUIRE(second.error() == "");
  TestClient one(first.port());
  std::vector<TestClient> twos = many_clients(second);
  REQUIRE(ask_until(twos.front(), "set ready 1", "+OK") == "+OK\r\n");
  for (std::size_t i = 0; i < twos.size(); ++i) {
    const std::string key = "k" + std::to_string(i);
    REQUIRE(one.line("set " + key + " v") == "+OK\r\n");
    // Asked at once, before the write may have travelled: the answer is right either way.
    CHECK(twos[i].line("has " + key) == ":1\r\n");
    CHECK(twos[i].line("has none" + std::to_string(i)) == ":0\r\n");
    CHECK(twos[i].line("del " + key) == ":1\r\n");
  }
  CHECK(figure(twos.front(), "fanout_reads_total") >= static_cast<std::int64_t>(twos.size()));
}

TEST_CASE("loops: who leaves answers first what clients of every loop asked") {
  const TemporaryDirectory directory;
  RunningNode node(loop_options(directory.path()));
  REQUIRE(node.error() == "");
  std::vector<TestClient> clients = many_clients(node);
  for (std::size_t i = 0; i < clients.size(); ++i)
    REQUIRE(clients[i].line("set k" + std::to_string(i) + " 1") == "+OK\r\n");
  std::thread stopping([&node] { CHECK(node.stop() == exit_code::done); });
  for (TestClient& client : clients)
    CHECK(client.closed());
  stopping.join();
  const RunningNode again(loop_options(directory.path()));
  REQUIRE(again.error() == "");
  TestClient client(again.port());
  CHECK(client.line("count") == ":" + std::to_string(clients.size()) + "\r\n");
}

TEST_CASE("loops: the limit of clients counts those of all") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path(), {"--memory", "--max-clients", "20"}));
  REQUIRE(node.error() == "");
  std::vector<TestClient> served = many_clients(node, 20);
  for (TestClient& client : served)
    REQUIRE(client.line("ping") == "+PONG\r\n");
  for (int i = 0; i < 10; ++i)
    CHECK(TestClient(node.port()).line("ping").starts_with("-BUSY the limit of 20"));
}

TEST_CASE("loops: a port that one process shares among its loops is not shared with another") {
  const TemporaryDirectory directory;
  const RunningNode node(loop_options(directory.path() + "/a"));
  REQUIRE(node.error() == "");
  NodeOptions same_port = loop_options(directory.path() + "/b");
  same_port.bind = *parse_address(node.address());
  const RunningNode other(same_port);
  CHECK(other.error().find("is in use") != std::string::npos);
}

TEST_CASE("loops: versions that a crash could take are not given again") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/identity.json";
  {
    RunningNode node(loop_options(directory.path(), {"--memory"}));
    REQUIRE(node.error() == "");
    TestClient client(node.port());
    REQUIRE(client.line("set k v") == "+OK\r\n");
    CHECK(node.stop() == exit_code::done);
  }
  // As if the clock of the machine had gone back by a minute since.
  auto stored = read_identity(path);
  REQUIRE((stored && *stored));
  REQUIRE(hlc_milliseconds((*stored)->hlc_ceiling) > wall_now());
  const std::uint64_t ceiling = (wall_now() + 60'000) << hlc_counter_bits;
  (*stored)->hlc_ceiling = ceiling;
  REQUIRE(write_identity(path, **stored));

  const RunningNode again(loop_options(directory.path(), {"--memory"}));
  REQUIRE(again.error() == "");
  for (TestClient& client : many_clients(again)) {
    REQUIRE(client.http("PUT", "/k", "", "v").starts_with("20"));
    const std::string head = client.last_head();
    const std::size_t tag = head.find("ETag: \"");
    REQUIRE(tag != std::string::npos);
    CHECK(std::strtoull(head.c_str() + tag + 7, nullptr, 10) > ceiling);
  }
  const auto raised = read_identity(path);
  REQUIRE((raised && *raised));
  CHECK((*raised)->hlc_ceiling > ceiling);
}

}  // namespace dhrt
