#include "node/cli_interrupt.h"

#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <unistd.h>

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

InterruptibleInput::int_type InterruptibleInput::underflow() {
  ssize_t count = -1;
  while (count < 0 && !interrupted()) {
    count = ::read(descriptor_, buffer_.data(), buffer_.size());
    if (count < 0 && errno != EINTR) break;
  }
  if (count <= 0) return traits_type::eof();
  setg(buffer_.data(), buffer_.data(), buffer_.data() + count);
  return traits_type::to_int_type(*gptr());
}

}  // namespace dhrt
