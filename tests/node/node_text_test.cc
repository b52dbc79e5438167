// Native text lines against a real node.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "node/command_table.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

TEST_CASE("commands: every row of the table has a handler, and no handler is without a row") {
  const auto bindings = command_bindings();
  const auto rows = command_table();
  REQUIRE(bindings.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    CHECK(bindings[i].name == rows[i].name);
}

NODE_TEST_CASE("text: a session says what the grammar promises") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  const std::string key511(511, 'k');
  struct Case {
    const char* why;
    std::string line, reply;
  };
  for (const Case& c : {
           Case{"a value is stored", "set a hello", "+OK\r\n"},
           Case{"and read", "get a", "$5\r\nhello\r\n"},
           Case{"commands in any case", "GET a", "$5\r\nhello\r\n"},
           Case{"keys are not", "get A", "$-1\r\n"},
           Case{"has", "has a", ":1\r\n"},
           Case{"has not", "has b", ":0\r\n"},
           Case{"any byte by escapes", R"(set b "\x00\r\n\"")", "+OK\r\n"},
           Case{"and back", "get b", std::string("$4\r\n\0\r\n\"\r\n", 10)},
           Case{"an empty value", R"(set e "")", "+OK\r\n"},
           Case{"is a value", "get e", "$0\r\n\r\n"},
           Case{"count", "count", ":3\r\n"},
           Case{"keys in order", "keys", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\ne\r\n"},
           Case{"delete", "del a", ":1\r\n"},
           Case{"delete again", "del a", ":0\r\n"},
           Case{"a key never seen", "del zzz", ":0\r\n"},
           Case{"if absent, absent", "set n 1 --if-absent", "+OK\r\n"},
           Case{"another collection", "set c k v", "+OK\r\n"},
           Case{"read by name", "get c k", "$1\r\nv\r\n"},
           Case{"count by name", "count c", ":1\r\n"},
           Case{"keys by prefix", "keys c kk", "*0\r\n"},
           Case{"scan", "scan c", "*2\r\n$0\r\n\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"},
           Case{"flush", "flush c", "+OK\r\n"},
           Case{"empty then", "count c", ":0\r\n"},
           Case{"drop", "drop c", "+OK\r\n"},
           Case{"create", "create m --memory", "+OK\r\n"},
           Case{"level one", "set x 1 --ack one", "+OK\r\n"},
           Case{"a lone node is its quorum", "set x 2 --ack quorum", "+OK\r\n"},
           Case{"and all", "set x 3 --ack all", "+OK\r\n"},
           Case{"linear", "set x 4 --ack linear", "+OK\r\n"},
           Case{"read so", "get x --read linear", "$1\r\n4\r\n"},
           Case{"has", "has x --read quorum", ":1\r\n"},
           Case{"deleted so", "del x --ack linear", ":1\r\n"},
           Case{"and away", "get x --read quorum", "$-1\r\n"},
           Case{"deleted again", "del x --ack linear", ":0\r\n"},
           Case{"a condition at quorum", "set x 5 --if-absent --ack quorum", "+OK\r\n"},
           Case{"gone again", "del x --ack quorum", ":1\r\n"},
           Case{"longest key", "set " + key511 + " v", "+OK\r\n"},
           Case{"a value that looks like HTTP", "set h HTTP/1.1", "+OK\r\n"},
           Case{"ping", "ping", "+PONG\r\n"},
           Case{"ping with words", "ping hi", "$2\r\nhi\r\n"},
       }) {
    CAPTURE(c.why);
    client.send(c.line + "\n");
    CHECK(client.receive(c.reply.size()) == c.reply);
  }
}

NODE_TEST_CASE("text: what is wrong is told, and the connection stays usable") {
  const TemporaryDirectory directory;
  const RunningNode node(with_value_limit(node_options(directory.path()), 100));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  REQUIRE(client.line("set taken 1") == "+OK\r\n");
  struct Case {
    const char* why;
    std::string line, says;
  };
  for (const Case& c : {
           Case{"no such command", "frobnicate", "unknown command 'frobnicate'"},
           Case{"too few words", "get", "usage: get"},
           Case{"too many words", "get a b c", "usage: get"},
           Case{"unknown flag", "get a --rea one", "--read"},
           Case{"unbalanced quotes", "set a \"b", "quote"},
           Case{"long key", "get " + std::string(512, 'k'), "the limit is 511"},
           Case{"empty key", "get \"\"", "1 to 511"},
           Case{"long value", "set k " + std::string(101, 'v'), "--max-value-bytes"},
           Case{"a system collection", "get _sys default", "not a collection name"},
           Case{"no such level", "set a b --ack most", "one, quorum, all or linear"},
           Case{"no such level", "get a --read all", "one, fanout, quorum or linear"},
           Case{"a condition at linear", "set a b --if-absent --ack linear", "level linear"},
           Case{"ttl without unit", "set a b --ttl 5", "--ttl"},
           Case{"exists", "set taken 2 --if-absent", "exists"},
           Case{"not a version", "set taken 2 --if-version x", "version"},
           Case{"not placed", "create c --replicas 2", "not yet placed"},
           Case{"default stays", "drop default", "cannot be dropped"},
           Case{"no such collection", "flush nothere", "no collection"},
           Case{"HTTP in lower case", "get /x HTTP/1.1", "methods are upper-case"},
           Case{"no watch token", "watch c --since x", "the watch token is none"},
           Case{"auth", "auth secret", "no token is configured on this node"},
       }) {
    CAPTURE(c.why);
    const std::string reply = client.line(c.line);
    CHECK(reply.substr(0, 5) == "-ERR ");
    CHECK_MESSAGE(reply.find(c.says) != std::string::npos, reply);
  }
  CHECK(client.line("set /x HTTP/1.1") == "+OK\r\n");  // No method, hence a value.
  CHECK(client.line("get taken") == "$1\r\n");
  CHECK(client.receive_until("\r\n") == "1\r\n");
}

NODE_TEST_CASE("text: ten thousand sets in one write are answered in order") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  std::string lines;
  std::string replies;
  for (int i = 0; i < 10000; ++i) {
    lines += "set k" + std::to_string(i) + " v\n";
    replies += "+OK\r\n";
  }
  client.send(lines + "count\n");
  CHECK(client.receive(replies.size()) == replies);
  CHECK(client.receive_until("\r\n") == ":10000\r\n");
}

NODE_TEST_CASE("text: a write is answered when it is durable, not before") {
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool closed = false;
    void pass() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return !closed; });
    }
    void set_closed(bool value) {
      const std::lock_guard lock(mutex);
      closed = value;
      changed.notify_all();
    }
  } gate;
  const TemporaryDirectory directory;
  RunningNode node(node_options(directory.path()), {.before_sync = [&gate] { gate.pass(); }});
  REQUIRE(node.error() == "");
  TestClient writer(node.port());
  TestClient reader(node.port());
  REQUIRE(writer.line("set a 1") == "+OK\r\n");
  gate.set_closed(true);
  writer.send("set a 2\nping\n");
  CHECK_FALSE(writer.anything_within(300));
  CHECK(reader.line("ping") == "+PONG\r\n");
  gate.set_closed(false);
  CHECK(writer.receive_until("PONG\r\n") == "+OK\r\n+PONG\r\n");
}

NODE_TEST_CASE("text: a half-closed client still gets its replies") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  client.send("set a 1\nget a\nset unfinished 1");
  client.end_sending();
  CHECK(client.receive_all() == "+OK\r\n$1\r\n1\r\n");
  TestClient other(node.port());
  CHECK(other.line("has unfinished") == ":0\r\n");
}

NODE_TEST_CASE("text: data outlives a restart") {
  const TemporaryDirectory directory;
  {
    RunningNode node(node_options(directory.path()));
    REQUIRE(node.error() == "");
    TestClient client(node.port());
    REQUIRE(client.line("set a 1") == "+OK\r\n");
    REQUIRE(client.line("quit") == "+OK\r\n");
    CHECK(node.stop() == exit_code::done);
  }
  const RunningNode again(node_options(directory.path()));
  REQUIRE(again.error() == "");
  TestClient client(again.port());
  CHECK(client.line("get a") == "$1\r\n");
}

NODE_TEST_CASE("text: a memory node keeps nothing") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.line("set a 1") == "+OK\r\n");
  CHECK(client.line("has a") == ":1\r\n");
  CHECK_FALSE(std::filesystem::exists(directory.path() + "/collections"));
}

}  // namespace dhrt
