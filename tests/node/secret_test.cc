#include "node/secret.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("secret: equal is equal, whatever their lengths are") {
  CHECK(equal_secrets("secret", "secret"));
  CHECK(equal_secrets(Bytes("a\0b", 3), Bytes("a\0b", 3)));
  for (const Bytes given : {Bytes(""), Bytes("s"), Bytes("secreT"), Bytes("Secret"),
                            Bytes("secretsecret"), Bytes("secret\0", 7)}) {
    CAPTURE(given);
    CHECK_FALSE(equal_secrets(given, "secret"));
  }
  CHECK_FALSE(equal_secrets("x", ""));
}

}  // namespace dhrt
