#include "protocol/glob.h"

#include <string>

#include <doctest/doctest.h>

#include "storage/base/random.h"

using namespace dhrt;

TEST_CASE("glob: patterns match whole keys") {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const Case& c : {
           Case{"", "", true},
           Case{"", "a", false},
           Case{"*", "", true},
           Case{"*", "abc", true},
           Case{"a", "a", true},
           Case{"a", "b", false},
           Case{"a", "ab", false},
           Case{"?", "", false},
           Case{"?", "a", true},
           Case{"a?c", "abc", true},
           Case{"a*c", "ac", true},
           Case{"a*c", "abbc", true},
           Case{"a*c", "abcd", false},
           Case{"*a*b*", "xxaxxbxx", true},
           Case{"*ab", "aab", true},
           Case{"**", "x", true},
           Case{"[abc]", "b", true},
           Case{"[abc]", "d", false},
           Case{"[a-c]x", "bx", true},
           Case{"[c-a]x", "bx", true},
           Case{"[^a]", "b", true},
           Case{"[^a]", "a", false},
           Case{"[^a]", "", false},
           Case{"[]", "a", false},
           Case{"[a", "a", true},
           Case{"[a-", "-", true},
           Case{"[\\]]", "]", true},
           Case{"\\*", "*", true},
           Case{"\\*", "a", false},
           Case{"a\\", "a\\", true},
           Case{"h[ae]llo*", "hello!", true},
       }) {
    CAPTURE(c.pattern);
    CAPTURE(c.text);
    CHECK(glob_matches(c.pattern, c.text) == c.matches);
  }
}

TEST_CASE("glob: many stars cost no more than their number times the length") {
  std::string pattern;
  for (int i = 0; i < 200; ++i)
    pattern += "*a";
  CHECK(!glob_matches(pattern + "b", std::string(20000, 'a')));
}

TEST_CASE("glob: what matches begins with the prefix") {
  CHECK(glob_prefix("user:*") == "user:");
  CHECK(glob_prefix("user") == "user");
  CHECK(glob_prefix("us\\er") == "us");
  CHECK(glob_prefix("[a]") == "");
  Random random(1);
  const Bytes alphabet = "ab*?[]^-\\";
  for (int round = 0; round < 20000; ++round) {
    std::string pattern, text;
    for (std::uint64_t i = random.below(6); i > 0; --i)
      pattern += alphabet[random.below(alphabet.size())];
    for (std::uint64_t i = random.below(6); i > 0; --i)
      text += alphabet[random.below(alphabet.size())];
    if (glob_matches(pattern, text)) CHECK(text.starts_with(glob_prefix(pattern)));
  }
}
