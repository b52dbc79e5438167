#include "node/repl.h"

#include <algorithm>
#include <filesystem>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "node/cli_print.h"
#include "node/command_table.h"
#include "node/repl_history.h"
#include "node/repl_words.h"
#include "tests/node/cli_fixture.h"
#include "tests/node/scripted_server.h"
#include "tests/node/temporary_folder.h"

namespace dhrt {

using test::contains;
using test::Ran;
using test::ScriptedServer;
using test::Shell;
using test::TemporaryFolder;

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

Ran type(const ScriptedServer& server, const std::string& input) {
  Shell shell;
  shell.input = input;
  return shell.run({"repl", "--host", server.address()});
}

}  // namespace

TEST_CASE("repl completion: commands, their collections and their flags") {
  struct Case {
    const char* why;
    const char* line;
    std::size_t begin;
    const char* candidates;
  };
  const std::vector<std::string> collections{"default", "fruit", "friends"};
  for (const auto& c : {
           Case{"a beginning", "cou", 0, "count"},
           Case{"several", "co", 0, "collections count"},
           Case{"in any case", "COU", 0, "count"},
           Case{"none", "xyz", 0, ""},
           Case{"blanks in front", "  cou", 2, "count"},
           Case{"collections", "get fr", 4, "fruit friends"},
           Case{"every collection", "keys ", 5, "default fruit friends"},
           Case{"keys are not known", "get fruit a", 10, ""},
           Case{"a command without collection", "ping fr", 5, ""},
           Case{"an unknown command", "gte fr", 4, ""},
           Case{"a new collection has no name yet", "create fr", 7, ""},
           Case{"flags", "set k v --if", 8, "--if-version --if-absent"},
           Case{"what help explains", "help pi", 5, "ping"},
       }) {
    CAPTURE(c.why);
    const auto completion = complete(c.line, collections);
    CHECK(completion.begin == c.begin);
    CHECK(joined(completion.candidates) == c.candidates);
  }
  CHECK(joined(complete("", {}).candidates).starts_with("auth backup collections count"));
}

TEST_CASE("repl completion: the node is asked for collections only where they help") {
  CHECK(completes_collection("get fr"));
  CHECK(completes_collection("drop "));
  CHECK_FALSE(completes_collection("ge"));
  CHECK_FALSE(completes_collection("get fruit k"));
  CHECK_FALSE(completes_collection("get --"));
  CHECK_FALSE(completes_collection("collections "));
  CHECK(common_prefix({"fruit", "friends", "fr"}) == "fr");
  CHECK(common_prefix({"one"}) == "one");
  CHECK(common_prefix({"a", "b"}).empty());
  CHECK(common_prefix({}).empty());
  CHECK(joined(collection_names(R"([{"name":"a"},{"x":1},"b",3])")) == "a b");
  CHECK(collection_names("rubbish").empty());
}

TEST_CASE("repl hint: the usage of the command, or the meaning of the flag") {
  CHECK(usage_hint("").empty());
  CHECK(usage_hint("se").empty());
  CHECK(usage_hint("SET").starts_with("set [collection] <key> <value>"));
  CHECK(usage_hint("set k ").starts_with("set [collection]"));
  CHECK(contains(usage_hint("set k v --ttl"), "--ttl TIME: Let the key expire"));
}

TEST_CASE("repl: a line that cannot be right is not sent") {
  const auto reason = [](const std::string& line) {
    const auto tokens = text::tokenize(line, {});
    REQUIRE(tokens);
    return reason_to_keep(*tokens).value_or("");
  };
  CHECK(reason("set k v").empty());
  CHECK(reason("GET k").empty());
  CHECK(reason("").empty());
  CHECK(contains(reason("set k"), "too few words; usage: set [collection]"));
  CHECK(contains(reason("get a b c"), "too many words"));
  CHECK(contains(reason("gte k"), "did you mean get?"));
  CHECK(contains(reason("wxyz"), "help lists the commands"));
  CHECK(contains(reason("get k --tll 3"), "--tll"));
  CHECK(reason("set k v --ttl 60s").empty());
}

TEST_CASE("repl: the help names every command, and explains each") {
  for (const auto& command : command_table()) {
    CHECK(contains(repl_help(), "\n  " + std::string(command.name)));
    CHECK(contains(repl_help(Bytes(command.name)).value(), std::string(command.summary)));
  }
  CHECK_FALSE(repl_help(Bytes("gte")));
}

TEST_CASE("repl: replies are shown so that nothing is mistaken for something else") {
  struct Case {
    const char* why;
    Reply reply;
    std::string shown;
  };
  const std::vector<Case> cases{
      {"nil", Reply::nil(), "(nil)\n"},
      {"an integer", Reply::integer(3), "(integer) 3\n"},
      {"a simple string", Reply::ok(), "OK\n"},
      {"text", Reply::bulk("a \"b\"\n\xC3\xBC"), "\"a \\\"b\\\"\\n\xC3\xBC\"\n"},
      {"bytes", Reply::bulk(std::string("\0\x1b\xff", 3)), "\"\\x00\\x1b\\xff\"\n"},
      {"an empty array", Reply::array({}), "(empty)\n"},
      {"an array in an array",
       Reply::array({Reply::bulk("next"), Reply::array({Reply::integer(1), Reply::nil()})}),
       "1) \"next\"\n2) 1) (integer) 1\n   2) (nil)\n"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.why);
    CHECK(pretty_text(c.reply) == c.shown);
  }
  const std::string ten = pretty_text(Reply::array(Reply::Array(10, Reply::integer(0))));
  CHECK(contains(ten, "\n 9) (integer) 0\n10) (integer) 0\n"));
}

TEST_CASE("repl history: a token is never kept") {
  for (const char* line : {"auth secret", "AUTH secret", "  auth x", "\"auth\" x", "authx y"})
    CHECK_MESSAGE(is_secret(line), line);
  for (const char* line : {"get auth", "", "aut", "set author x"})
    CHECK_MESSAGE(!is_secret(line), line);
}

TEST_CASE("repl history: it stands where XDG says") {
  const auto path = [](std::map<std::string, std::string> variables) {
    return history_path([&](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    });
  };
  CHECK(path({{"HOME", "/h"}}) == "/h/.local/state/dhrt/history");
  CHECK(path({{"HOME", "/h"}, {"XDG_STATE_HOME", "/s"}}) == "/s/dhrt/history");
  CHECK(path({{"HOME", "/h"}, {"XDG_STATE_HOME", "s"}}) == "/h/.local/state/dhrt/history");
  CHECK(path({}).empty());
}

TEST_CASE("repl history: lines come back in order, from a file that only its owner reads") {
  const TemporaryFolder folder;
  const std::string path = folder.file("state/dhrt/history");
  HistoryFile(path).append("get a");
  HistoryFile(path).append("set b \"c d\"");
  CHECK(joined(HistoryFile(path).load()) == "get a set b \"c d\"");
  struct stat status = {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  chmod(path.c_str(), 0644);
  HistoryFile(path).append("ping");
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("repl history: a long file is cut, a missing one is none") {
  const TemporaryFolder folder;
  std::string text;
  for (std::size_t i = 0; i < 2 * history_lines_max + 5; ++i)
    text += std::to_string(i) + "\n";
  HistoryFile file(folder.write("history", text));
  CHECK(file.load().size() == history_lines_max);
  CHECK(file.load().back() == std::to_string(2 * history_lines_max + 4));
  const std::string kept = folder.read("history");
  CHECK(static_cast<std::size_t>(std::ranges::count(kept, '\n')) == history_lines_max);
  HistoryFile missing(folder.write("file", "") + "/folder/history");
  missing.append("x");
  CHECK(missing.load().empty());
  CHECK(HistoryFile("").load().empty());
}

TEST_CASE("repl: without a terminal it reads lines and prints answers plain") {
  const ScriptedServer server([](const std::string& line) -> std::optional<std::string> {
    if (line == "get k") return "$5\r\nhello\r\n";
    if (line == "nil") return "$-1\r\n";
    if (line == "bad") return "-ERR bad\r\n";
    return ":1\r\n";
  });
  const Ran good = type(server, "get  k\r\n\nbad\nnil\ncount\nquit\nget k\n");
  CHECK(good.out == "hello\n\n1\n");
  CHECK(good.error == "dhrt: ERR bad\n");
  CHECK(good.code == exit_code::server_error);
  CHECK(joined(server.lines()) == "get k bad nil count");
  CHECK(type(server, "get k").code == 0);
  const Ran broken = type(server, "set \"k\n");
  CHECK(broken.code == exit_code::usage);
  CHECK(contains(broken.error, "unbalanced quotes"));
  CHECK(contains(type(server, "help\n").out, "Keys\n"));
}

TEST_CASE("repl: a lost connection is made again, and only reads are sent twice") {
  int count = 0;
  const ScriptedServer server([&](const std::string&) -> std::optional<std::string> {
    return ++count % 2 == 0 ? std::nullopt : std::optional<std::string>("+OK\r\n");
  });
  const Ran reads = type(server, "ping\nping\n");
  CHECK(reads.out == "OK\nOK\n");
  CHECK(reads.code == 0);
  CHECK(server.lines().size() == 3);
  count = 0;
  const Ran writes = type(server, "set k v\nset k v\n");
  CHECK(writes.out == "OK\n");
  CHECK(writes.code == exit_code::cannot_connect);
  CHECK(contains(writes.error, "whether the command was carried out is not known"));
}

TEST_CASE("repl: a node that is not there ends it with 3") {
  CHECK(Shell{}.run({"repl", "--host", test::closed_address()}).code == exit_code::cannot_connect);
}

}  // namespace dhrt
