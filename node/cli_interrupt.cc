#include "node/cli_interrupt.h"

#include <csignal>
#include <initializer_list>

namespace dhrt {

namespace {

volatile std::sig_atomic_t noted = 0;

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { noted = signal; };
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // Without SA_RESTART: the wait must end.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaction(signal, &action, nullptr);
}

int interrupt_signal() {
  return noted;
}

void forget_interrupt() {
  noted = 0;
}

}  // namespace dhrt
