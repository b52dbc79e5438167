#include "storage/base/fair_mutex.h"

#include <atomic>
#include <mutex>
#include <thread>

#include <doctest/doctest.h>

#include "storage/base/give_way.h"

namespace dhrt::test {
namespace {

constexpr int naps_without_end = 1'000'000;

void await_waiter(const FairMutex& mutex) {
  while (!mutex.is_wanted())
    std::this_thread::yield();
}

TEST_CASE("fair mutex: who waits comes in between two holds of one who takes it again at once") {
  FairMutex mutex;
  for (int turn = 1; turn <= 20; ++turn) {
    std::atomic<bool> had{false};
    mutex.lock();
    std::thread other([&] {
      const std::lock_guard lock(mutex);
      had.store(true);
    });
    await_waiter(mutex);
    mutex.unlock();
    mutex.let_others_in(naps_without_end);
    mutex.lock();
    CHECK_MESSAGE(had.load(), "turn ", turn);
    mutex.unlock();
    other.join();
  }
  CHECK_FALSE(mutex.is_wanted());
}

TEST_CASE("fair mutex: letting others in ends, though somebody waits all the time") {
  FairMutex mutex;
  mutex.lock();
  std::thread other([&] { const std::lock_guard lock(mutex); });
  await_waiter(mutex);
  mutex.let_others_in(3);
  CHECK(mutex.is_wanted());
  mutex.unlock();
  other.join();
}

TEST_CASE("give way: a comparison that does so compares as before") {
  for (const bool wanted : {true, false}) {
    set_gives_way(wanted);
    CHECK(gives_way() == wanted);
    std::thread([] { CHECK_FALSE(gives_way()); }).join();
    auto before = giving_way([](int left, int right) { return left < right; });
    constexpr int compared = 5000;
    int told_before = 0;
    for (int i = 0; i < compared; ++i)
      told_before += before(i, compared / 2) ? 1 : 0;
    CHECK(told_before == compared / 2);
  }
  set_gives_way(false);
}

}  // namespace
}  // namespace dhrt::test
