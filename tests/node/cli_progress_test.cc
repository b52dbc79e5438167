// What people see of long commands while they run: how far, of how much, and how long still.
#include <atomic>

#include <doctest/doctest.h>

#include "protocol/json.h"
#include "tests/node/cli_fixture.h"
#include "tests/node/node_fixture.h"
#include "tests/node/scripted_server.h"
#include "tests/node/temporary_folder.h"

namespace dhrt::test {

namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// Of a terminal, whose clock goes a second with every look.
Shell terminal() {
  return {.error_is_terminal = true, .look_costs = Duration(1000)};
}

std::int64_t backup_figure(TestClient& client, Bytes name) {
  const auto stats = json::Document::parse(client.bulk("stats"));
  REQUIRE(stats);
  const auto backup = stats->root().member("backup");
  REQUIRE(backup);
  const auto figure = backup->member(name);
  REQUIRE(figure);
  return figure->integer().value_or(-1);
}

}  // namespace

TEST_CASE("progress: a backup shows how many of how many files are copied") {
  // What a node says of itself while it copies the second of four; then it is done.
  std::atomic<int> asked = 0;
  const ScriptedServer server(
      [&](const std::string& line) -> std::optional<std::string> {
        if (line == "stats") {
          ++asked;
          asked.notify_all();
          return bulk(R"({"collections":7,"backup":{"running":true,"collections":2,)"
                      R"("collections_total":4}})");
        }
        for (int seen = 0; seen < 2; seen = asked)
          asked.wait(seen);
        return bulk(R"({"path":"/b/monday","collections":4,"bytes":1000})");
      },
      ScriptedServer::Serves::side_by_side);
  const Ran ran = terminal().run({"backup", "monday", "--host", server.address()});
  CAPTURE(ran.error);
  CHECK(ran.code == exit_code::done);
  CHECK(contains(ran.error, "[############............] 50%  2 collections  "));
  CHECK(contains(ran.error, "ETA 1s"));
  CHECK(contains(ran.out, "/b/monday"));
}

TEST_CASE("progress: what a node says of a backup is that all of its files are copied") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  for (const char* name : {"a", "b", "c"})
    REQUIRE(client.line("set " + std::string(name) + " k v") == "+OK\r\n");
  CHECK(backup_figure(client, "collections") == 0);
  CHECK(backup_figure(client, "collections_total") == 0);
  const auto made = json::Document::parse(client.bulk("backup monday"));
  REQUIRE(made);
  const auto files = made->root().member("collections");
  REQUIRE(files);
  CHECK(files->integer().value_or(0) >= 3);
  CHECK(backup_figure(client, "collections") == files->integer().value_or(0));
  CHECK(backup_figure(client, "collections_total") == files->integer().value_or(0));
}

TEST_CASE("progress: an export shows how many of all keys it has") {
  const TemporaryDirectory directory;
  const TemporaryFolder folder;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  Shell shell = terminal();
  for (int i = 0; i < 2500; ++i)
    shell.input += "word" + std::to_string(i) + "\n";
  const Ran filled = shell.run({"import", "-", "--format", "words", "--host", node.address()});
  REQUIRE(filled.code == exit_code::done);
  const Ran ran = shell.run({"export", folder.file("all"), "--host", node.address()});
  CAPTURE(ran.error);
  CHECK(ran.code == exit_code::done);
  CHECK(contains(ran.error, "] 40%  1000 keys  1000 keys/s  ETA 2s"));
  CHECK(contains(ran.error, "] 80%  2000 keys  1000 keys/s  ETA 1s"));
  CHECK(contains(ran.error, "] 100%  2500 keys  "));
}

TEST_CASE("progress: a check of files shows how much of their bytes it has seen") {
  const TemporaryDirectory directory;
  {
    RunningNode node(node_options(directory.path()));
    REQUIRE(node.error() == "");
    TestClient client(node.port());
    for (const char* name : {"a", "b", "c"})
      REQUIRE(client.line("set " + std::string(name) + " k v") == "+OK\r\n");
    CHECK(node.stop() == exit_code::done);
  }
  const Ran ran = terminal().run({"verify", directory.path()});
  CAPTURE(ran.error);
  CHECK(ran.code == exit_code::done);
  // Three files of as many bytes, and the one of the configurations.
  for (const char* part : {"] 25%  ", "] 50%  ", "] 75%  ", "] 100%  "})
    CHECK_MESSAGE(contains(ran.error, part), part);
  const std::size_t last = ran.error.rfind("ETA ");
  REQUIRE(last != std::string::npos);
  CHECK(std::isdigit(static_cast<unsigned char>(ran.error[last + 4])) != 0);
}

}  // namespace dhrt::test
