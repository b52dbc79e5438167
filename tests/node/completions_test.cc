#include <algorithm>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/option_table.h"
#include "tests/node/cli_fixture.h"

namespace dhrt {

TEST_CASE("shell completion: it names every command and every flag") {
  std::ifstream file(DHRT_SOURCE_ROOT "/deploy/completions/dhrt.bash");
  REQUIRE(file);
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::ranges::replace(text, '"', ' ');
  std::ranges::replace(text, '\n', ' ');
  for (const auto& name : command_names())
    CHECK_MESSAGE(test::contains(text, " " + name + " "), name);
  for (const auto& option : option_table())
    CHECK_MESSAGE(test::contains(text, " --" + std::string(option.name) + " "), option.name);
  for (const auto& flag : flag_table())
    CHECK_MESSAGE(test::contains(text, " --" + std::string(flag.name) + " "), flag.name);
}

}  // namespace dhrt
