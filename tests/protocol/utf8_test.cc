#include "protocol/utf8.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("utf-8: what is none becomes U+FFFD, one for each part that began well") {
  struct Case {
    const char* why;
    Bytes bytes;
    Bytes text;
  };
  for (const Case& c : {
           Case{"nothing", "", ""},
           Case{"ASCII", "a\x7f", "a\x7f"},
           Case{"two, three and four bytes", "\xC3\xA4\xE2\x9C\x93\xF0\xA4\xAD\xA2",
                "\xC3\xA4\xE2\x9C\x93\xF0\xA4\xAD\xA2"},
           Case{"a byte that begins nothing", "\xFF%zz", "\xEF\xBF\xBD%zz"},
           Case{"one that goes on with nothing", "\x80", "\xEF\xBF\xBD"},
           Case{"cut at the end", "a\xE2\x9C", "a\xEF\xBF\xBD"},
           Case{"cut in the middle",
                "\xE2\x9C"
                "a",
                "\xEF\xBF\xBD"
                "a"},
           Case{"an overlong form: each byte for itself", "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
           Case{"a surrogate", "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
           Case{"the last code point", "\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"},
           Case{"one more", "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
           Case{"a lead within a character", "\xF0\x9F\xC3\xA4", "\xEF\xBF\xBD\xC3\xA4"},
       }) {
    CAPTURE(c.why);
    CHECK(to_utf8(c.bytes) == c.text);
  }
}

TEST_CASE("utf-8: the length that JavaScript sees") {
  CHECK(utf16_length("") == 0);
  CHECK(utf16_length("abc") == 3);
  CHECK(utf16_length("\xC3\xA4\xE2\x9C\x93") == 2);
  CHECK(utf16_length("\xF0\xA4\xAD\xA2") == 2);
}

}  // namespace dhrt
