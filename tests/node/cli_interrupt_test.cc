// Ctrl-C while a command reads what is piped into it.
#include "node/cli_interrupt.h"

#include <array>
#include <atomic>
#include <csignal>
#include <istream>
#include <string>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "node/file_descriptor.h"

using namespace dhrt;

TEST_CASE("interruptible input: what came is read, and an interrupt ends the wait for more") {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const FileDescriptor reads(ends[0]);
  const FileDescriptor writes(ends[1]);
  struct sigaction before = {};
  sigaction(SIGINT, nullptr, &before);
  catch_interrupts();
  REQUIRE(write(writes.get(), "one\n", 4) == 4);
  InterruptibleInput input(reads.get());
  std::istream stream(&input);
  std::string line;
  CHECK(std::getline(stream, line));
  CHECK(line == "one");
  // Again and again, because the first may come before the wait has begun.
  std::atomic<bool> ended = false;
  std::thread user([&ended, reader = pthread_self()] {
    while (!ended)
      pthread_kill(reader, SIGINT);
  });
  CHECK(!std::getline(stream, line));
  ended = true;
  user.join();
  CHECK(interrupt_signal() == SIGINT);
  forget_interrupt();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaction(signal, &before, nullptr);
}
