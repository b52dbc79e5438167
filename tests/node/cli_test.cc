#include "node/cli.h"

#include <csignal>
#include <sstream>
#include <unistd.h>

#include <doctest/doctest.h>

#include "node/cli_help.h"
#include "node/cli_interrupt.h"
#include "tests/node/cli_fixture.h"
#include "tests/node/scripted_server.h"

namespace dhrt {

using test::contains;
using test::Ran;
using test::ScriptedServer;
using test::Shell;

namespace {

std::string bulk(const std::string& bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
}

// The command with the server's address behind it.
Ran ask(const ScriptedServer& server, std::vector<std::string> words, const Shell& shell = {}) {
  words.insert(words.end(), {"--host", server.address()});
  return shell.run(words);
}

}  // namespace

TEST_CASE("cli: without words it says in short what it can do") {
  const Ran ran = Shell{}.run({});
  CHECK(ran.code == 0);
  CHECK(contains(ran.out, "dhrt start"));
  CHECK(ran.error.empty());
}

TEST_CASE("cli: every command has a help that fits 100 columns") {
  std::vector<std::vector<std::string>> lines{{"--help"}, {"-h"}, {"help"}};
  for (const auto& name : command_names())
    if (name != "help") {
      lines.push_back({name, "--help"});
      lines.push_back({"help", name});
    }
  for (const auto& words : lines) {
    const Ran ran = Shell{}.run(words);
    CAPTURE(words.back());
    CHECK(ran.code == 0);
    CHECK(ran.error.empty());
    CHECK(contains(ran.out, "usage: dhrt "));
    std::istringstream text(ran.out);
    for (std::string line; std::getline(text, line);)
      CHECK_MESSAGE(line.size() <= 100, line);
  }
}

TEST_CASE("cli: the long help names every command") {
  const std::string help = Shell{}.run({"--help"}).out;
  for (const auto& name : command_names())
    if (name != "help") CHECK_MESSAGE(contains(help, "\n  " + name), name);
}

TEST_CASE("cli: the version is told") {
  CHECK(Shell{}.run({"--version"}).out.starts_with("dhrt "));
}

TEST_CASE("cli: start and join run a node, and give back its exit code") {
  const Ran started = Shell{}.run({"start", "--bind", "127.0.0.1:0"});
  CHECK(started.code == 42);
  REQUIRE(started.started.size() == 1);
  CHECK(started.started[0].bind == Address{"127.0.0.1", 0});
  for (const std::vector<std::string>& words : {std::vector<std::string>{"join", "h:1"},
                                                {"--node=h:1"},
                                                {"--node", "h:1"},
                                                {"--node=h:1", "--memory"}}) {
    const Ran ran = Shell{}.run(words);
    CAPTURE(words[0]);
    CHECK(ran.code == 42);
    REQUIRE(ran.started.size() == 1);
    CHECK(ran.started[0].join == std::vector<Address>{{"h", 1}});
  }
  const Ran printed = Shell{}.run({"start", "--print-config"});
  CHECK(printed.code == 0);
  CHECK(printed.started.empty());
  CHECK(contains(printed.out, "bind = \"0.0.0.0:7453\"  # from default"));
}

TEST_CASE("cli: a wrong command line ends with 2 and says what would be right") {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const std::vector<Case> cases{
      {{"gte", "k"}, "did you mean dhrt get?"},
      {{"frobnicate"}, "dhrt --help lists the commands"},
      {{"depart"}, "unknown command 'depart'"},
      {{"quit"}, "unknown command 'quit'"},
      {{"help", "gte"}, "did you mean dhrt get?"},
      {{"--host", "a:1", "get"}, "unknown flag --host before a command"},
      {{"get"}, "too few words; usage: dhrt get"},
      {{"get", "a", "b", "c"}, "too many words"},
      {{"get", "k", "--hots", "a:1"}, "did you mean --host?"},
      {{"get", "k", "--ttl", "1s"}, "put -- before a word"},
      {{"get", "k", "--host", "a:b"}, "--host: 'a:b'"},
      {{"get", "k", "--host"}, "--host"},
      {{"get", "k", "--timeout", "5"}, "no unit"},
      {{"get", "k", "--timeout", "0"}, "--timeout is 0"},
      {{"set", "-", "v"}, "- stands for standard input"},
      {{"join"}, "join needs the address"},
      {{"start", "--bidn", "x"}, "did you mean --bind?"},
      {{"import"}, "import takes one file"},
      {{"import", "/no/such"}, "cannot read /no/such"},
      {{"import", "/"}, "cannot read /"},
      {{"import", "f", "--format", "csv"}, "--format is 'csv'"},
      {{"import", "f", "--pipeline", "0"}, "--pipeline is '0'"},
      {{"repl", "word"}, "repl takes no words"},
  };
  for (const auto& c : cases) {
    const Ran ran = Shell{}.run(c.words);
    CAPTURE(ran.error);
    CHECK(ran.code == exit_code::usage);
    CHECK(ran.error.starts_with("dhrt: "));
    CHECK(contains(ran.error, c.says));
    CHECK(ran.out.empty());
  }
  CHECK(Shell{{{"DHRT_HOST", ":"}}}.run({"ping"}).code == exit_code::usage);
}

TEST_CASE("cli: what a node answers becomes output and exit code") {
  struct Case {
    const char* why;
    std::vector<std::string> words;
    std::string reply;
    int code;
    std::string out;
  };
  const std::vector<Case> cases{
      {"set", {"set", "k", "v"}, "+OK\r\n", 0, "OK\n"},
      {"a condition that fails", {"set", "k", "v", "--if-absent"}, "$-1\r\n", 1, ""},
      {"get", {"get", "k"}, bulk("hello"), 0, "hello\n"},
      {"get of bytes",
       {"get", "k"},
       bulk(std::string("\0\r\n\xff", 4)),
       0,
       std::string("\0\r\n\xff\n", 5)},
      {"get --raw", {"get", "k", "--raw"}, bulk("hello"), 0, "hello"},
      {"get --json", {"get", "k", "--json"}, bulk("a\"b"), 0, "\"a\\\"b\"\n"},
      {"get of nothing", {"get", "k"}, "$-1\r\n", 1, ""},
      {"get of nothing as JSON", {"get", "k", "--json"}, "$-1\r\n", 1, "null\n"},
      {"has", {"has", "k"}, ":1\r\n", 0, "yes\n"},
      {"has not", {"has", "k"}, ":0\r\n", 1, "no\n"},
      {"del", {"del", "k"}, ":1\r\n", 0, "OK\n"},
      {"del of nothing", {"del", "k"}, ":0\r\n", 1, ""},
      {"count", {"count"}, ":104334\r\n", 0, "104334\n"},
      {"count of nothing is no miss", {"count", "c"}, ":0\r\n", 0, "0\n"},
      {"keys", {"keys"}, "*2\r\n" + bulk("a") + bulk("b c"), 0, "a\nb c\n"},
      {"no keys", {"keys"}, "*0\r\n", 0, ""},
      {"keys --json",
       {"keys", "--json"},
       "*2\r\n" + bulk("a") + bulk("\xff"),
       0,
       "[\"a\",{\"base64\":\"/w==\"}]\n"},
      {"ping", {"ping"}, "+PONG\r\n", 0, "PONG\n"},
      {"create", {"create", "c", "--memory"}, "+OK\r\n", 0, "OK\n"},
      {"stats",
       {"stats"},
       bulk("{\"keys\":3,\"log\":{\"bytes\":5},\"version\":\"0.1\"}"),
       0,
       "keys: 3\nlog.bytes: 5\nversion: 0.1\n"},
      {"stats --json", {"stats", "--json"}, bulk("{\"keys\":3}"), 0, "{\"keys\":3}\n"},
      {"nodes",
       {"nodes"},
       bulk("[{\"id\":\"7\",\"name\":\"b\xC3\xBC\\n\",\"state\":\"alive\",\"address\":\"h:1\"},"
            "{\"name\":\"longer\",\"x\":1}]"),
       0,
       "name    id  address  state  x\nb\xC3\xBC?     7   h:1      alive  -\n"
       "longer  -   -        -      1\n"},
      {"collections",
       {"collections"},
       bulk("[{\"keys\":2,\"name\":\"default\"}]"),
       0,
       "name     keys\ndefault  2\n"},
      {"no collections", {"collections"}, bulk("[]"), 0, ""},
      {"an error", {"get", "k"}, "-ERR no\r\n", 5, ""},
      {"overload", {"get", "k"}, "-BUSY later\r\n", 5, ""},
      {"no token", {"get", "k"}, "-NOAUTH say auth\r\n", 4, ""},
      {"a wrong token", {"get", "k"}, "-WRONGPASS\r\n", 4, ""},
      {"a weak role", {"set", "k", "v"}, "-NOPERM read only\r\n", 4, ""},
      {"a level not reached", {"set", "k", "v"}, "-TIMEOUT applied=1 need=2\r\n", 6, ""},
      {"no reply of a node", {"ping"}, "HTTP/1.1 400 Bad Request\r\n", 5, ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.why);
    const ScriptedServer server(c.reply);
    const Ran ran = ask(server, c.words);
    CAPTURE(ran.error);
    CHECK(ran.code == c.code);
    CHECK(ran.out == c.out);
    const bool silent = c.code == 0 || !c.out.empty();
    CHECK(ran.error.empty() == silent);
    CHECK(server.lines().size() == 1);
  }
}

TEST_CASE("cli: words reach the node as they were typed, whatever bytes they have") {
  struct Case {
    const char* why;
    std::vector<std::string> words;
    std::string line;
  };
  const std::vector<Case> cases{
      {"plain", {"set", "k", "v"}, "set k v"},
      {"spaces and quotes", {"set", "a b", "say \"hi\""}, "set \"a b\" \"say \\\"hi\\\"\""},
      {"an empty value", {"set", "k", ""}, "set k \"\""},
      {"a line break", {"set", "k", "a\nb"}, "set k \"a\\nb\""},
      {"a flag with its value", {"set", "k", "v", "--ttl", "60s"}, "set k v --ttl 60s"},
      {"a flag with =", {"set", "k", "v", "--ttl=60s"}, "set k v --ttl 60s"},
      {"a flag without value", {"set", "--if-absent", "k", "v"}, "set k v --if-absent"},
      {"a word like a flag", {"set", "k", "--", "--ttl"}, "set k \"--ttl\""},
      {"a flag's value like a flag",
       {"scan", "c", "--from=--x", "--limit", "1"},
       "scan c --from \"--x\" --limit 1"},
      {"-h is a value where it can be one", {"set", "k", "-h"}, "set k -h"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.why);
    const ScriptedServer server("+OK\r\n");
    auto words = c.words;
    words.insert(words.begin() + 1, {"--host", server.address()});
    CHECK(Shell{}.run(words).code == 0);
    REQUIRE(server.lines().size() == 1);
    CHECK(server.lines()[0] == c.line);
  }
}

TEST_CASE("cli: a value of - is what stands on standard input") {
  const ScriptedServer server("+OK\r\n");
  Shell shell;
  shell.input = std::string("two\nlines\0", 10);
  CHECK(ask(server, {"set", "k", "-"}, shell).code == 0);
  CHECK(server.lines() == std::vector<std::string>{"set k \"two\\nlines\\x00\""});
}

TEST_CASE("cli: the node is told by flag, by variable") {
  const ScriptedServer server("+PONG\r\n");
  CHECK(Shell{{{"DHRT_HOST", server.address()}}}.run({"ping"}).code == 0);
  CHECK(Shell{{{"DHRT_HOST", "nowhere:1"}}}.run({"ping", "--host=" + server.address()}).code == 0);
}

TEST_CASE("cli: a node that is not there ends with 3 and says how to start one") {
  const std::string address = test::closed_address();
  const Ran ran = Shell{}.run({"get", "k", "--host", address});
  CHECK(ran.code == exit_code::cannot_connect);
  CHECK(ran.out.empty());
  CHECK(ran.error == "dhrt: cannot connect to " + address +
                         " (connection refused); is a node running? start one with: dhrt start\n");
  const ScriptedServer rude([](const std::string&) { return std::nullopt; });
  const Ran closed = ask(rude, {"get", "k"});
  CHECK(closed.code == exit_code::cannot_connect);
  CHECK(contains(closed.error, "closed the connection"));
}

TEST_CASE("cli: a node that keeps silent ends with 6") {
  const ScriptedServer server("");
  const Ran ran = ask(server, {"get", "k", "--timeout", "30ms"});
  CHECK(ran.code == exit_code::timed_out);
  CHECK(contains(ran.error, "did not answer in 30ms"));
}

TEST_CASE("cli: an interrupt during a wait ends with 130") {
  const ScriptedServer server([](const std::string&) {
    kill(getpid(), SIGINT);
    return std::string();
  });
  const Ran ran = ask(server, {"get", "k"});
  forget_interrupt();
  CHECK(ran.code == exit_code::interrupted);
}

TEST_CASE("cli: scan reads every page, or one if there is a limit") {
  const auto answer = [](const std::string& line) -> std::optional<std::string> {
    if (contains(line, "--from")) return "*2\r\n" + bulk("") + "*2\r\n" + bulk("c") + bulk("3");
    return "*2\r\n" + bulk("b\xff") + "*4\r\n" + bulk("a") + bulk("1") + bulk("b\xff") + bulk("2");
  };
  const ScriptedServer server(answer);
  CHECK(ask(server, {"scan", "words"}).out == "a\t1\nb\xff\t2\nc\t3\n");
  CHECK(server.lines() == std::vector<std::string>{"scan words", "scan words --from b\xff"});
  CHECK(ask(server, {"scan", "words", "--json"}).out ==
        "{\"key\":\"a\",\"value\":\"1\"}\n"
        "{\"key\":\"Yv8=\",\"value\":\"Mg==\",\"encoding\":\"base64\"}\n"
        "{\"key\":\"c\",\"value\":\"3\"}\n");
  const Ran limited = ask(server, {"scan", "words", "--limit", "2"});
  CHECK(limited.out == "a\t1\nb\xff\t2\n");
  CHECK(contains(limited.error, "go on with --from b\xff"));
}

TEST_CASE("cli: a reply of many megabytes arrives whole") {
  const std::string value(std::size_t{9} << 20, 'x');
  const ScriptedServer server(bulk(value));
  const Ran ran = ask(server, {"get", "k"});
  CHECK(ran.code == 0);
  CHECK(ran.out.size() == value.size() + 1);
}

}  // namespace dhrt
