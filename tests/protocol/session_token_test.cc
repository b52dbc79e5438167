#include "protocol/session_token.h"

#include <doctest/doctest.h>

#include "protocol/json.h"

namespace dhrt {
namespace {

const CollectionRef users{"users", 1};

SessionToken some() {
  SessionToken token;
  token.saw(users, {{7, 1, 0}, 300});
  token.saw(users, {{~0ULL, 4'000'000'000U, 65'535}, ~0ULL});
  token.saw({"other", 9}, {{7, 1, 2}, 1});
  return token;
}

TEST_CASE("session token: what is written is read back") {
  CHECK(*SessionToken::parse(some().text()) == some());
  CHECK(*SessionToken::parse(SessionToken().text()) == SessionToken());
}

TEST_CASE("session token: an empty one begins a session") {
  const auto token = SessionToken::parse("");
  REQUIRE(token);
  CHECK(token->seen().empty());
}

TEST_CASE("session token: the highest sequence of an origin counts, and none is zero") {
  SessionToken token;
  token.saw(users, {{7, 1, 0}, 5});
  token.saw(users, {{7, 1, 0}, 3});
  token.saw(users, {{7, 2, 0}, 0});
  CHECK(token.seen().at(users) == SessionToken::Tips{{{7, 1, 0}, 5}});
}

TEST_CASE("session token: of a collection that was made anew nothing older is kept") {
  SessionToken token;
  token.saw(users, {{7, 1, 0}, 5});
  token.saw({"users", 2}, {{7, 1, 0}, 6});
  token.saw(users, {{7, 1, 0}, 9});
  CHECK(token.seen().size() == 1);
  CHECK(token.seen().at({"users", 2}) == SessionToken::Tips{{{7, 1, 0}, 6}});
}

TEST_CASE("session token: every cut and every changed byte is seen") {
  const std::string text = some().text();
  for (std::size_t size = 1; size < text.size(); ++size)
    CHECK_FALSE(SessionToken::parse(text.substr(0, size)));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto token = SessionToken::parse(changed);
    // The last characters may differ in bits that stand for nothing.
    CHECK((!token || *token == some()));
  }
  CHECK_FALSE(SessionToken::parse(text + "AAAA"));
  for (const std::string none : {"x", "null", "=", "\xff", "AQ=="})
    CHECK_FALSE(SessionToken::parse(none));
}

TEST_CASE("session token: what it may hold is bounded, and the error says so") {
  SessionToken token;
  for (std::uint32_t epoch = 1; epoch <= session_origins_max; ++epoch)
    token.saw(users, {{7, epoch, 0}, 1});
  CHECK(SessionToken::parse(token.text()));
  // A head of a request must hold it.
  CHECK(token.text().size() < 12'000);
  token.saw(users, {{8, 1, 0}, 1});
  const auto full = SessionToken::parse(token.text());
  REQUIRE_FALSE(full);
  CHECK(full.error().message.find("more than 512 origins") != std::string::npos);
  CHECK(full.error().message.find("begin a new one") != std::string::npos);
}

}  // namespace
}  // namespace dhrt
