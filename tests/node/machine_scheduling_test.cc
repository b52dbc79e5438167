#include <sched.h>
#include <thread>

#include <doctest/doctest.h>

#include "node/machine.h"

namespace dhrt {

TEST_CASE("machine: a thread that wakes without interrupting leaves others as they are") {
  const int before = sched_getscheduler(0);
  int after = -1;
  std::thread([&] {
    wake_without_interrupting();
    after = sched_getscheduler(0);
  }).join();
  CHECK(after == (before == SCHED_OTHER ? SCHED_BATCH : before));
  CHECK(sched_getscheduler(0) == before);
}

}  // namespace dhrt
