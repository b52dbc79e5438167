// Tokens of who watches: what is written is read back, for the same subject, and nothing else is.
#include "storage/feed_position.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

constexpr FeedSubject users{.collection = "users", .prefix = "u:"};

FeedPosition position_of(std::size_t origins) {
  FeedPosition position{.generation = 3, .flushed = 0xfeedULL << 40, .told_until = 1700000000000};
  for (std::size_t i = 0; i < origins; ++i) {
    const Origin origin{.node = 0x1122334455667788ULL * (i + 1),
                        .epoch = static_cast<std::uint32_t>(1700000000 + i),
                        .loop = static_cast<std::uint16_t>(i)};
    position.seen.add(origin, {1, 1000 + i});
    position.seen.add(origin, {2000, 2000});
  }
  return position;
}

std::string error_of(Bytes token, const FeedSubject& subject) {
  const auto position = decode_feed_token(token, subject);
  return position ? "" : position.error().message;
}

TEST_CASE("watch token: it comes back as it was, and has no byte that must be escaped") {
  for (const std::size_t origins : {0, 1, 2, 3, 50}) {
    const FeedPosition position = position_of(origins);
    const std::string token = encode_feed_token(position, users);
    CHECK(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_") == std::string::npos);
    const auto read = decode_feed_token(token, users);
    REQUIRE(read.has_value());
    CHECK(*read == position);
  }
  CHECK(encode_feed_token(position_of(3), users).size() < 200);
}

TEST_CASE("watch token: it is for its collection and its prefix alone") {
  const std::string token = encode_feed_token(position_of(2), users);
  for (const FeedSubject& other : {FeedSubject{"user", "u:"}, FeedSubject{"users", ""},
                                   FeedSubject{"usersu", ":"}, FeedSubject{"", "usersu:"}}) {
    CHECK(error_of(token, other).find("another collection or prefix") != std::string::npos);
  }
}

TEST_CASE("watch token: no part of one, and none with another character, is one") {
  const std::string token = encode_feed_token(position_of(2), users);
  for (std::size_t size = 0; size < token.size(); ++size)
    CHECK(error_of(token.substr(0, size), users) != "");
  Random random(7);
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string other = token;
    while (other[at] == token[at])
      other[at] = static_cast<char>(random.below(256));
    CHECK_MESSAGE(error_of(other, users) != "", at);
  }
  CHECK(error_of(token + "A", users) != "");
  CHECK(error_of(token + "AAAA", users) != "");
}

TEST_CASE("watch token: errors say what to do") {
  struct Case {
    const char* why;
    std::string token, says;
  };
  for (const Case& c : {
           Case{"empty", "", "is none"},
           Case{"no base64url", "a+b/", "is none"},
           Case{"a word", "now", "is none"},
           Case{"a later version", "AgAAAAAAAAAAAAAAAAAAAAAA", "has the version 2"},
           Case{"too long", std::string(feed_token_bytes_max + 1, 'A'), "is longer than 49152"},
       }) {
    CAPTURE(c.why);
    const std::string said = error_of(c.token, users);
    CHECK_MESSAGE(said.find(c.says) != std::string::npos, said);
    CHECK(said.find("0 to begin with everything") != std::string::npos);
  }
}

TEST_CASE("watch token: one that would be too long is not made") {
  CHECK(encode_feed_token(position_of(1500), users) != "");
  CHECK(encode_feed_token(position_of(5000), users) == "");
}

}  // namespace
}  // namespace dhrt::test
