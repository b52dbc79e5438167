#include "node/command_reference.h"

#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "node/command_table.h"
#include "node/redis_table.h"
#include "tests/node/cli_fixture.h"

namespace dhrt {

TEST_CASE("command reference: the page in the tree is what the tables say") {
  std::ifstream file(DHRT_SOURCE_ROOT "/node/commands.md");
  REQUIRE(file);
  const std::string page(std::istreambuf_iterator<char>(file), {});
  CHECK_MESSAGE(page == command_reference(), "make it: dhrt help commands > node/commands.md");
  for (const CommandInfo& command : command_table())
    CHECK_MESSAGE(test::contains(page, std::string(command.summary)), command.name);
  for (const RedisCommand& command : redis_commands())
    CHECK_MESSAGE(test::contains(page, std::string(command.summary)), command.name);
}

TEST_CASE("command reference: what it says of a command of Redis clients") {
  CHECK(redis_command_help("mSet") ==
        "MSET: 3 or more words; keys: 1 to the last, every 2nd\nStore several values.\n"
        "For Redis clients (redis-cli, any library), at the same port; since Redis 1.0.1.\n");
  CHECK(test::contains(redis_command_help("get").value_or(""), "GET: 2 words; keys: 1\n"));
  CHECK(test::contains(redis_command_help("rename").value_or(""), "keys: 1 to 2\n"));
  CHECK(test::contains(redis_command_help("ping").value_or(""), "1 or more words; keys: none\n"));
  CHECK_FALSE(redis_command_help("nosuch"));
}

}  // namespace dhrt
