#include "node/handshake_queue.h"

#include <utility>

namespace dhrt {

bool HandshakeQueue::admits() {
  if (done_ == steps_per_turn_max || !waiting_.empty()) return false;
  if (done_++ == 0) busy_.turn_on();
  return true;
}

HandshakeQueue::Ticket HandshakeQueue::wait(std::function<void()> step) {
  waiting_.emplace(++last_, std::move(step));
  return last_;
}

void HandshakeQueue::turn() {
  done_ = 0;
  while (done_ < steps_per_turn_max && !waiting_.empty()) {
    ++done_;
    const auto step = std::move(waiting_.extract(waiting_.begin()).mapped());
    step();
  }
  if (done_ == 0) busy_.turn_off();
}

}  // namespace dhrt
