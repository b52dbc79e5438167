// Secrets that clients show.
#pragma once

#include "storage/base/bytes.h"

namespace dhrt {

// In a time that depends on `given` only, so that nobody finds the secret letter by letter.
inline bool equal_secrets(Bytes given, Bytes secret) {
  unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  return difference == 0;
}

}  // namespace dhrt
