// Tokens and what they are good for.
#include "node/access.h"

#include <doctest/doctest.h>

#include "node/doorkeeper.h"
#include "node/log.h"
#include "node/secret.h"
#include "tests/node/temporary_folder.h"

namespace dhrt {

using test::TemporaryFolder;

namespace {

std::string auth_file(const TemporaryFolder& folder, const std::string& text) {
  return folder.write("tokens.toml", text);
}

constexpr const char* three_tokens = R"(
[[token]]
name = "boss"
token = "a-secret"
role = "admin"

[[token]]
name = "shop"
token = "b-secret"
role = "write"
collections = ["orders", "default"]

[[token]]
name = "report"
token = "c-secret"
role = "read"
)";

// That asks for the token "right".
struct Door {
  Door() { set_log_threshold(LogThreshold::error); }
  const Access access = *Access::load({.token = "right"});
  NodeFigures figures;
  TurnClock clock;
  Doorkeeper keeper{access, figures, clock};
};

}  // namespace

TEST_CASE("access: while no token is configured everybody may do everything") {
  const auto access = Access::load({});
  REQUIRE(access);
  CHECK(access->open());
  CHECK(access->without_token().may_everywhere(Role::admin));
  CHECK(access->find("") == nullptr);
}

TEST_CASE("access: a token has a role, in all collections or in some") {
  const TemporaryFolder folder;
  const auto access = Access::load({.auth_file = auth_file(folder, three_tokens)});
  REQUIRE_MESSAGE(access, (access ? "" : access.error().message));
  CHECK_FALSE(access->open());
  CHECK(access->without_token().role == Role::none);
  CHECK_FALSE(access->without_token().may(Role::read, "default"));
  const Grant* boss = access->find("a-secret");
  const Grant* shop = access->find("b-secret");
  const Grant* report = access->find("c-secret");
  REQUIRE((boss != nullptr && shop != nullptr && report != nullptr));
  CHECK(boss->may_everywhere(Role::admin));
  CHECK(shop->may(Role::write, "orders"));
  CHECK(shop->may(Role::read, "default"));
  CHECK_FALSE(shop->may(Role::admin, "orders"));
  CHECK_FALSE(shop->may(Role::read, "salaries"));
  CHECK_FALSE(shop->may_everywhere(Role::read));
  CHECK(report->may(Role::read, "salaries"));
  CHECK(report->may_everywhere(Role::read));
  CHECK_FALSE(report->may(Role::write, "orders"));
  for (const Bytes wrong : {Bytes(""), Bytes("a-secre"), Bytes("a-secret "), Bytes("A-secret")})
    CHECK(access->find(wrong) == nullptr);
}

TEST_CASE("access: a file with one token, and a variable, make administrators") {
  const TemporaryFolder folder;
  const auto access =
      Access::load({.token = "of-variable", .token_file = folder.write("token", "of-file\r\n")});
  REQUIRE(access);
  CHECK(access->find("of-variable")->may_everywhere(Role::admin));
  CHECK(access->find("of-file")->may_everywhere(Role::admin));
}

TEST_CASE("access: what is wrong with a file is said with its place, and never with a token") {
  const TemporaryFolder folder;
  struct Case {
    const char* why;
    std::string text;
    const char* says;
  };
  const std::string begin = "[[token]]\nname = \"n\"\ntoken = \"hidden\"\n";
  for (const Case& c : {
           Case{"empty", "", "it has no [[token]]"},
           Case{"no TOML", "token = hidden", "line 1 is no TOML"},
           Case{"nothing in it", "# nothing\n", "no [[token]]"},
           Case{"something else", begin + "role = \"read\"\n[other]\n", "something else besides"},
           Case{"no role", begin, "role is read, write or admin"},
           Case{"another role", begin + "role = \"root\"", "role is read, write or admin"},
           Case{"none as a role", begin + "role = \"none\"", "role is read, write or admin"},
           Case{"no name", "[[token]]\ntoken = \"hidden\"\nrole = \"read\"", "name and token"},
           Case{"no token", "[[token]]\nname = \"n\"\nrole = \"read\"", "name and token"},
           Case{"an empty one", "[[token]]\nname = \"n\"\ntoken = \"\"\nrole = \"read\"",
                "1 to 256"},
           Case{"a blank", "[[token]]\nname = \"n\"\ntoken = \"hid den\"\nrole = \"read\"",
                "no blanks"},
           Case{"too long",
                "[[token]]\nname = \"n\"\ntoken = \"" + std::string(257, 'x') +
                    "\"\nrole = \"read\"",
                "1 to 256"},
           Case{"an unknown word", begin + "role = \"read\"\ncollection = \"a\"",
                "'collection' is unknown"},
           Case{"no list", begin + "role = \"read\"\ncollections = \"a\"", "is a list"},
           Case{"an empty list", begin + "role = \"read\"\ncollections = []", "is a list"},
           Case{"no name of a collection", begin + "role = \"read\"\ncollections = [\"_x\"]",
                "no name of a collection"},
           Case{"the same token twice",
                begin +
                    "role = \"read\"\n[[token]]\nname = \"m\"\ntoken = \"hidden\"\nrole = \"read\"",
                "twice"},
           Case{"the same name twice",
                begin +
                    "role = \"read\"\n[[token]]\nname = \"n\"\ntoken = \"other\"\nrole = \"read\"",
                "two tokens are called 'n'"},
       }) {
    CAPTURE(c.why);
    const auto access = Access::load({.auth_file = auth_file(folder, c.text)});
    REQUIRE_FALSE(access);
    CAPTURE(access.error().message);
    CHECK(access.error().message.find("--auth-file " + folder.file("tokens.toml")) == 0);
    CHECK(access.error().message.find(c.says) != std::string::npos);
    CHECK(access.error().message.find("hidden") == std::string::npos);
  }
  const auto directory = Access::load({.token_file = folder.file(".")});
  REQUIRE_FALSE(directory);
  CHECK(directory.error().message.find("is a directory") != std::string::npos);
  const auto missing = Access::load({.token_file = folder.file("none")});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("--token-file") == 0);
}

TEST_CASE("doorkeeper: wrong tokens are counted, and wait when there are many") {
  Door door;
  Doorkeeper& doorkeeper = door.keeper;
  CHECK(doorkeeper.take_token("right", "10.0.0.2"));
  for (int i = 0; i < 10; ++i) {
    const auto wrong = doorkeeper.take_token("wrong", "10.0.0.1");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == ErrorCode::denied);
  }
  const auto late = doorkeeper.take_token("right", "10.0.0.1");
  REQUIRE_FALSE(late);
  CHECK(late.error().code == ErrorCode::busy);
  CHECK(doorkeeper.take_token("right", "10.0.0.2"));
  CHECK(std::uint64_t{door.figures.wrong_tokens_total} == 11);
}

TEST_CASE("guess limit: who guesses waits, and who was right before does not") {
  GuessLimit limit;
  const Grant known{.name = "known", .role = Role::read, .collections = {}};
  const Grant other{.name = "other", .role = Role::read, .collections = {}};
  const Time begin{Duration(1'000'000)};
  CHECK(limit.allows(&known, "10.0.0.1", begin));
  for (int i = 0; i < 10; ++i)
    CHECK(limit.allows(nullptr, "10.0.0.1", begin));
  CHECK_FALSE(limit.allows(nullptr, "10.0.0.1", begin));
  CHECK_MESSAGE(!limit.allows(&other, "10.0.0.1", begin), "nobody learns that it is right");
  CHECK(limit.allows(&known, "10.0.0.1", begin));
  CHECK(limit.allows(&other, "10.0.0.2", begin));
  CHECK_FALSE(limit.allows(nullptr, "10.0.0.1", begin + Duration(999)));
  CHECK(limit.allows(nullptr, "10.0.0.1", begin + Duration(1000)));
  CHECK_FALSE(limit.allows(nullptr, "10.0.0.1", begin + Duration(1000)));
  CHECK(limit.allows(&other, "10.0.0.1", begin + Duration(3000)));
}

TEST_CASE("guess limit: networks, sockets, and more addresses than it remembers") {
  GuessLimit limit;
  const Time begin{Duration(1'000'000)};
  const auto wrong = [&](const std::string& client, Time now) {
    return limit.allows(nullptr, client, now);
  };
  for (int i = 0; i < 10; ++i)
    CHECK(wrong("2001:db8::" + std::to_string(i), begin));
  CHECK_FALSE(wrong("2001:db8::ffff:1", begin));
  CHECK(wrong("2001:db8:0:1::1", begin));
  for (int i = 0; i < 1000; ++i)
    REQUIRE(wrong("unix", begin));
  int allowed = 0;
  for (std::size_t i = 0; i < GuessLimit::addresses_max + 100; ++i)
    allowed += wrong("h" + std::to_string(i), begin) ? 1 : 0;
  // Two networks were there; those that find no place have ten tries together.
  CHECK(allowed == static_cast<int>(GuessLimit::addresses_max) - 2 + 10);
  CHECK_MESSAGE(wrong("new", begin + Duration(60'000)), "who was quiet made place");
}

TEST_CASE("doorkeeper: a request needs a role, somewhere") {
  Door door;
  Doorkeeper& doorkeeper = door.keeper;
  const Grant nobody{.name = "nobody", .role = Role::none, .collections = {}};
  const Grant reader{.name = "reader", .role = Role::read, .collections = {"a"}};
  using Needs = Doorkeeper::Needs;
  using Refusal = Doorkeeper::Refusal;
  const auto refusal = [&](const Grant& grant, const Needs& needs) {
    return doorkeeper.refusal(grant, needs, "10.0.0.1", "get");
  };
  CHECK_FALSE(refusal(nobody, {}));
  CHECK(refusal(nobody, {.role = Role::read, .collection = "a"}) == Refusal::no_token);
  CHECK(refusal(nobody, {.role = Role::read, .looks = true}) == Refusal::no_token);
  CHECK_FALSE(refusal(reader, {.role = Role::read, .collection = "a"}));
  CHECK_FALSE(refusal(reader, {.role = Role::read, .looks = true}));
  CHECK(refusal(reader, {.role = Role::read, .collection = "b"}) == Refusal::too_weak);
  CHECK(refusal(reader, {.role = Role::write, .collection = "a"}) == Refusal::too_weak);
  CHECK(refusal(reader, {.role = Role::read}) == Refusal::too_weak);
  CHECK(std::uint64_t{door.figures.requests_refused_total} == 5);
}

}  // namespace dhrt
