#include "node/event_loop.h"

#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "node/machine.h"

namespace dhrt {

TEST_CASE("mailbox: letters of several threads all arrive, those of one in their order") {
  constexpr int writers = 4;
  constexpr int letters = 2000;
  EventLoop loop;
  Mailbox mailbox(loop);
  std::vector<int> next(writers, 0);
  int arrived = 0;
  int disordered = 0;
  std::vector<std::thread> threads;
  for (std::size_t writer = 0; writer < writers; ++writer) {
    threads.emplace_back([&, writer] {
      for (int number = 0; number < letters; ++number) {
        mailbox.post([&, writer, number] {
          if (next[writer]++ != number) ++disordered;
          if (++arrived == writers * letters) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads)
    thread.join();
  CHECK(arrived == writers * letters);
  CHECK(disordered == 0);
}

TEST_CASE("mailbox: a letter may post the next one") {
  EventLoop loop;
  Mailbox mailbox(loop);
  int count = 0;
  std::function<void()> again = [&] {
    if (++count == 100) return loop.stop();
    mailbox.post(again);
  };
  mailbox.post(again);
  loop.run();
  CHECK(count == 100);
}

TEST_CASE("machine: what is asked for is given, within bounds; auto is what the machine has") {
  CHECK(loop_count_for(1) == 1);
  CHECK(loop_count_for(3) == 3);
  CHECK(loop_count_for(1000) == event_loops_max);
  CHECK(loop_count_for(0) >= 1);
  CHECK(loop_count_for(0) <= event_loops_max);
  CHECK(cache_bytes_for(123) == 123);
  CHECK(cache_bytes_for(0) == usable_memory_bytes() / 4);
  CHECK(usable_memory_bytes() > (std::uint64_t{64} << 20));
}

}  // namespace dhrt
