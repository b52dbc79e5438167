#include "node/handshake_queue.h"

#include <utility>

namespace dhrt {

bool HandshakeQueue::admits() {
  if (done_ == steps_per_turn_max || !waiting_.empty()) return false;
  if (done_++ == 0) busy_.turn_on();
  return true;
}

HandshakeQueue::Ticket HandshakeQueue::wait(Who who, std::function<void()> step) {
  constexpr Ticket of_newcomers = Ticket{1} << 63;
  const Ticket ticket = ++last_ | (who == Who::newcomer ? of_newcomers : 0);
  waiting_.emplace(ticket, std::move(step));
  return ticket;
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
