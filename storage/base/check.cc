#include "storage/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dhrt {

void check_failed(const char* expectation, const char* file, int line) {
  std::fprintf(stderr, "dhrt: invariant broken: %s (%s:%d)\n", expectation, file, line);
  std::abort();
}

}  // namespace dhrt
