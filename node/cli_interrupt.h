// Ctrl-C while a client command waits: noted, so that the command ends in order (exit 130).
//
// Threads: the note is a signal-safe flag of the whole process.
#pragma once

#include <array>
#include <streambuf>

namespace dhrt {

// From now on SIGINT, SIGTERM and SIGHUP are noted and end a wait in the system with EINTR.
void catch_interrupts();
// The last signal noted; 0 if none.
int interrupt_signal();
inline bool interrupted() {
  return interrupt_signal() != 0;
}
// For a prompt, where Ctrl-C drops a line and not the program.
void forget_interrupt();

// What stands in front of a descriptor, for an istream; an interrupt ends it. The library's own
// buffers read on after a signal, so Ctrl-C would wait for whoever is at the other end.
class InterruptibleInput : public std::streambuf {
 public:
  explicit InterruptibleInput(int descriptor) : descriptor_(descriptor) {}

 protected:
  int_type underflow() override;

 private:
  int descriptor_;
  std::array<char, 65536> buffer_{};
};

}  // namespace dhrt
