#include "node/options_hermod.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/node/temporary_folder.h"

namespace dhrt {

namespace {

// The token, or what the error says.
std::string token_of(const std::string& named_file, const std::string& program_folder,
                     const std::string& variable = "") {
  const OptionInput input{
      .arguments = {},
      .environment = [&](const std::string& name) -> std::optional<std::string> {
        if (name != "DEL_TOKEN") return std::nullopt;
        return variable;
      },
      .host_name = "",
      .program_folder = program_folder};
  const auto token = read_hermod_token(named_file, input);
  return token ? *token : "error: " + token.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("hermod's token: the variable, then the named file, then the one beside the program") {
  const test::TemporaryFolder program, other, empty;
  program.write("config.json", R"({"token":"beside","other":[1]})");
  const std::string named = other.write("hermod.json", R"({"token":"named"})");
  const std::string folder = std::filesystem::path(program.file("x")).parent_path();
  CHECK(token_of("", folder) == "beside");
  CHECK(token_of(named, folder) == "named");
  CHECK(token_of(named, folder, "from the variable") == "from the variable");
  CHECK(token_of("", std::filesystem::path(empty.file("x")).parent_path()).empty());
  CHECK(token_of("", "").empty());
}

TEST_CASE("hermod's token: a file without one is none, a bad file is an error that names it") {
  const test::TemporaryFolder folder;
  CHECK(token_of(folder.write("a", "{}"), "").empty());
  CHECK(token_of(folder.write("a", R"({"token":""})"), "").empty());
  CHECK(token_of(folder.write("a", "[]"), "").empty());
  struct Case {
    const char* text;
    const char* says;
  };
  for (const Case& c : {Case{R"({"token":)", "no valid JSON"}, Case{"", "no valid JSON"},
                        Case{R"({"token":5})", "the token is no string"}}) {
    CAPTURE(c.text);
    const std::string error = token_of(folder.write("bad.json", c.text), "");
    CHECK(contains(error, "error: Hermod's configuration " + folder.file("bad.json")));
    CHECK(contains(error, c.says));
    CHECK(contains(error, "--hermod-config"));
  }
  CHECK(contains(token_of(folder.file("missing"), ""), "it cannot be read"));
  CHECK(contains(token_of("/", ""), "it cannot be read"));
}

TEST_CASE("hermod's token: it is read where Hermod is served, and never shown") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("c.json", R"({"token":"geheim"})");
  const auto read = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--hermod-config", file});
    return read_options({.arguments = arguments,
                         .environment = [](const std::string&) { return std::nullopt; },
                         .host_name = "machine",
                         .program_folder = ""});
  };
  const auto served = read({"--hermod"});
  REQUIRE(served);
  CHECK(served->hermod_token == "geheim");
  CHECK_FALSE(contains(print_config(*served), "geheim"));
  const auto listed = read({"--listen", "hermod+unix:///run/x"});
  REQUIRE(listed);
  CHECK(listed->hermod_token == "geheim");
  const auto not_served = read({});
  REQUIRE(not_served);
  CHECK(not_served->hermod_token.empty());
}

}  // namespace dhrt
