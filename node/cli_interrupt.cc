#include "node/cli_interrupt.h"

#include <csignal>

namespace dhrt {

namespace {

volatile std::sig_atomic_t noted = 0;

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { noted = 1; };
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // Without SA_RESTART: the wait must end.
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return noted != 0;
}

void forget_interrupt() {
  noted = 0;
}

}  // namespace dhrt
