#include "node/cli_import.h"

#include <doctest/doctest.h>

#include "node/cli_import_line.h"
#include "node/cli_progress.h"
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

// Answers nothing until `group` lines have come, so that a client which does not send ahead
// would wait for ever.
ScriptedServer::Answer in_groups_of(std::size_t group) {
  return [group, count = std::size_t{0}](const std::string&) mutable -> std::optional<std::string> {
    std::string replies;
    if (++count % group == 0)
      for (std::size_t i = 0; i < group; ++i)
        replies += "+OK\r\n";
    return replies;
  };
}

Ran import(const ScriptedServer& server, std::vector<std::string> words, const Shell& shell = {}) {
  words.insert(words.begin(), "import");
  words.insert(words.end(), {"--host", server.address()});
  return shell.run(words);
}

std::string line_of(ImportFormat format, const std::string& collection, Bytes line) {
  const auto read = import_line({.format = format, .collection = collection, .now = 1000}, 7, line);
  if (!read) return "error: " + read.error().message;
  if (read->kind == ImportLine::Kind::expired) return "expired";
  return text::to_line(read->tokens);
}

}  // namespace

TEST_CASE("import line: each form becomes one set") {
  struct Case {
    const char* why;
    ImportFormat format;
    const char* collection;
    const char* line;
    const char* set;
  };
  constexpr auto ndjson = ImportFormat::ndjson;
  constexpr auto words = ImportFormat::words;
  for (const auto& c : {
           Case{"a word", words, "", "apple", "set apple 7"},
           Case{"a word of a file from Windows", words, "", "apple\r", "set apple 7"},
           Case{"into a collection", words, "fruit", "apple", "set fruit apple 7"},
           Case{"a word like a flag", words, "", "--ttl", "set \"--ttl\" 7"},
           Case{"words with spaces", words, "", "a b", "set \"a b\" 7"},
           Case{"a blank line", words, "", "  ", ""},
           Case{"an object", ndjson, "", R"({"key":"k","value":"v"})", "set k v"},
           Case{"a line break inside", ndjson, "", R"({"key":"k","value":"a\nb"})",
                "set k \"a\\nb\""},
           Case{"with ttl", ndjson, "c", R"({"key":"k","value":"v","ttl":1500})",
                "set c k v --ttl 1500ms"},
           Case{"null is absent", ndjson, "", R"({"key":"k","value":"","ttl":null})", "set k \"\""},
           Case{"base64", ndjson, "", R"({"key":"aw==","value":"AA==","encoding":"base64"})",
                "set k \"\\x00\""},
           Case{"a blank line", ndjson, "", "", ""},
           Case{"a collection of its own", ndjson, "",
                R"({"collection":"c","key":"k","value":"v"})", "set c k v"},
           Case{"the command line's collection wins", ndjson, "d",
                R"({"collection":"c","key":"k","value":"v"})", "set d k v"},
           Case{"an instant", ndjson, "", R"({"key":"k","value":"v","deadline":3500})",
                "set k v --ttl 2500ms"},
           Case{"an instant that is over", ndjson, "", R"({"key":"k","value":"v","deadline":1000})",
                "expired"},
           Case{"a content type", ndjson, "", R"({"key":"k","value":"v","type":"text/plain"})",
                "set k v --type text/plain"},
       }) {
    CAPTURE(c.why);
    CHECK(line_of(c.format, c.collection, c.line) == c.set);
  }
}

TEST_CASE("import line: what is missing or wrong is said") {
  struct Case {
    const char* line;
    const char* says;
  };
  for (const auto& c : {
           Case{"apple", "--format words"},
           Case{"[1]", "a JSON object is wanted"},
           Case{R"({"value":"v"})", "\"key\" is missing"},
           Case{R"({"key":1,"value":"v"})", "\"key\" is missing or no string"},
           Case{R"({"key":"k"})", "\"value\" is missing"},
           Case{R"({"key":"","value":"v"})", "the key is empty"},
           Case{R"({"key":"k","value":"v","ttl":-1})", "\"ttl\" must be"},
           Case{R"({"key":"k","value":"v","ttl":"60s"})", "\"ttl\" must be"},
           Case{R"({"key":"k","value":"v","encoding":"hex"})", "can only be \"base64\""},
           Case{R"({"key":"k!","value":"AA==","encoding":"base64"})", "must both be base64"},
       }) {
    CAPTURE(c.line);
    const std::string message = line_of(ImportFormat::ndjson, "", c.line);
    CAPTURE(message);
    CHECK(message.starts_with("error: "));
    CHECK(contains(message, c.says));
  }
}

TEST_CASE("import: a window of lines is sent ahead of the answers") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "word" + std::to_string(i) + "\n";
  const std::string file = folder.write("words", text);
  const ScriptedServer server(in_groups_of(50));
  const Ran ran = import(
      server, {file, "--format", "words", "--collection", "c", "--pipeline", "100", "--json"});
  CAPTURE(ran.error);
  CHECK(ran.code == 0);
  CHECK(ran.out.starts_with("{\"imported\":5000,\"errors\":0,\"expired\":0,\"seconds\":"));
  const auto lines = server.lines();
  REQUIRE(lines.size() == 5000);
  CHECK(lines.front() == "set c word0 1");
  CHECK(lines.back() == "set c word4999 5000");
}

TEST_CASE("import: bad lines and refused ones are counted, the first shown with their number") {
  Shell shell;
  for (int i = 1; i <= 20; ++i)
    shell.input +=
        i % 2 == 0 ? "rubbish\n" : R"({"key":"k)" + std::to_string(i) + R"(","value":"v"})" + "\n";
  const ScriptedServer server([](const std::string& line) -> std::optional<std::string> {
    return contains(line, "k3") ? "-ERR key is not wanted\r\n" : "+OK\r\n";
  });
  const Ran ran = import(server, {"-", "--json", "--pipeline", "1"}, shell);
  CHECK(ran.code == exit_code::server_error);
  CHECK(ran.out.starts_with("{\"imported\":9,\"errors\":11,"));
  CHECK(contains(ran.error, "-:2: "));
  CHECK(contains(ran.error, "-:3: ERR key is not wanted"));
  CHECK(contains(ran.error, "-:8: "));
  CHECK_FALSE(contains(ran.error, "-:10: "));
  CHECK(contains(ran.error, "6 more errors"));
}

TEST_CASE("import: it stops when the node goes, keeps silent or wants a token") {
  Shell shell;
  shell.input = "a\nb\nc\nd\n";
  int count = 0;
  const ScriptedServer goes([&](const std::string&) -> std::optional<std::string> {
    return ++count > 2 ? std::nullopt : std::optional<std::string>("+OK\r\n");
  });
  const std::vector<std::string> words{"-", "--format", "words", "--pipeline", "1"};
  const Ran gone = import(goes, words, shell);
  CHECK(gone.code == exit_code::cannot_connect);
  CHECK(contains(gone.error, "2 keys were imported"));

  auto hurried = words;
  hurried.insert(hurried.end(), {"--timeout", "30ms"});
  CHECK(import(ScriptedServer(""), hurried, shell).code == exit_code::timed_out);
  CHECK(import(ScriptedServer("-NOAUTH no\r\n"), words, shell).code == exit_code::auth);
  CHECK(Shell{}.run({"import", "-", "--host", test::closed_address()}).code ==
        exit_code::cannot_connect);
}

TEST_CASE("import: an empty file is done at once") {
  const TemporaryFolder folder;
  const ScriptedServer server("+OK\r\n");
  const Ran ran = import(server, {folder.write("empty", "")});
  CHECK(ran.code == 0);
  CHECK(ran.out.empty());
  CHECK(contains(ran.error, "imported 0 keys"));
}

TEST_CASE("progress: it says how far, how fast and how long still") {
  const ProgressState half{
      .bytes = 500, .bytes_total = 1000, .keys = 200, .elapsed = Duration(4000)};
  CHECK(progress_text(half) == "50%  200 keys  50 keys/s  ETA 4s");
  CHECK(progress_bar(half) == "[############............] " + progress_text(half));
  const ProgressState pipe{.bytes = 500, .keys = 200, .errors = 3, .elapsed = Duration(1000)};
  CHECK(progress_text(pipe) == "200 keys  200 keys/s  3 errors");
  CHECK(progress_bar(pipe) == progress_text(pipe));
  const ProgressState slow{.bytes = 1, .bytes_total = 8000, .keys = 1, .elapsed = Duration(1000)};
  CHECK(contains(progress_text(slow), "ETA 2h13m"));
  CHECK(contains(progress_text({.bytes_total = 10}), "0%  0 keys  0 keys/s  ETA ?"));
}

TEST_CASE("progress: a terminal is drawn over, a log gets a line every few seconds") {
  std::ostringstream terminal;
  Progress bar(terminal, true, Time{});
  bar.update({.keys = 1}, Time{Duration(50)});
  CHECK(terminal.str().empty());
  bar.update({.keys = 2}, Time{Duration(100)});
  CHECK(terminal.str().starts_with("\r2 keys"));
  bar.clear();
  CHECK(terminal.str().ends_with("\r\x1b[K"));

  std::ostringstream log;
  Progress lines(log, false, Time{});
  for (int i = 1; i <= 70; ++i)
    lines.update({.keys = 5}, Time{Duration(100 * i)});
  lines.clear();
  CHECK(log.str() == "5 keys  1 keys/s\n5 keys  0 keys/s\n");
}

}  // namespace dhrt
