// Ctrl-C while a client command waits: noted, so that the command ends in order (exit 130).
//
// Threads: the note is a signal-safe flag of the whole process.
#pragma once

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

}  // namespace dhrt
