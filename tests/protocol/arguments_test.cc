#include "protocol/arguments.h"

#include <doctest/doctest.h>

using namespace dhrt;

namespace {

constexpr FlagNames names{.known = "ttl if-version if-absent ack",
                          .without_value = flags_without_value};

Result<Arguments> split(Bytes line, const FlagNames& flags = names) {
  return split_arguments(*text::tokenize(line, {}), flags);
}

std::string error_of(Bytes line, const FlagNames& flags = names) {
  const auto arguments = split(line, flags);
  return arguments ? "" : arguments.error().message;
}

}  // namespace

TEST_CASE("arguments: flags may stand anywhere and in both forms") {
  for (const std::string line : {"set k v --ttl 5s --if-absent", "set --ttl=5s k --if-absent v",
                                 "--if-absent --ttl \"5s\" set k v"}) {
    CAPTURE(line);
    const auto arguments = split(line);
    REQUIRE(arguments);
    CHECK(arguments->words == std::vector<std::string>{"set", "k", "v"});
    CHECK(arguments->value_of("ttl") == "5s");
    CHECK(arguments->has("if-absent"));
    CHECK_FALSE(arguments->has("ack"));
  }
}

TEST_CASE("arguments: what is quoted or behind -- is a word") {
  CHECK(split("set k \"--ttl\"")->words.back() == "--ttl");
  CHECK(split("set k \"--\" v")->words.size() == 4);
  CHECK(split("set --ttl 5s -- k --v")->words == std::vector<std::string>{"set", "k", "--v"});
  CHECK(split("set k -- --")->words == std::vector<std::string>{"set", "k", "--"});
  CHECK(split("set k -v")->words.back() == "-v");
}

TEST_CASE("arguments: a value may look like anything when it is told so") {
  CHECK(split("get k --ttl=")->value_of("ttl") == "");
  CHECK(split("get k --ttl=a=b")->value_of("ttl") == "a=b");
  CHECK(split("get k --ttl \"--x\"")->value_of("ttl") == "--x");
  CHECK(split("get k --ttl=--x")->value_of("ttl") == "--x");
}

TEST_CASE("arguments: an error names the flag and what to do") {
  CHECK(error_of("set k v --tll 5s") == "flag --tll is unknown; the nearest is --ttl");
  CHECK(error_of("set k v --ifabsent") == "flag --ifabsent is unknown; the nearest is --if-absent");
  CHECK(error_of("set k v --TTL=5s").find("the nearest is --ttl") != std::string::npos);
  CHECK(error_of("set k v --ttl") == "flag --ttl has no value; give one, e.g. --ttl=VALUE");
  CHECK(error_of("set k v --ttl --if-absent").find("has no value") != std::string::npos);
  CHECK(error_of("set k v --ttl -- 5s").find("has no value") != std::string::npos);
  CHECK(error_of("set k v --if-absent=yes").find("takes no value") != std::string::npos);
  CHECK(error_of("set k v --ttl 1s --ttl=2s") == "flag --ttl is given twice; give it once");
  CHECK(error_of("set k --=v").find("is unknown") != std::string::npos);
  CHECK(error_of("count --x", {.known = "", .without_value = ""}).find("takes no flags") !=
        std::string::npos);
  CHECK(error_of("set k --" + std::string(1000, 'x')).size() < 100);
}
