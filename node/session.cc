#include "node/session.h"

#include <utility>

#include "storage/base/system_clock.h"

namespace dhrt {

using namespace session_limits;

void ReplyTicket::give(std::string bytes, Position position) const {
  if (Session* alive = host->session(session)) alive->finish(slot, std::move(bytes), position);
}

Session::Session(std::unique_ptr<TcpConnection> connection, Options options, SessionHost& host)
    : options_(std::move(options)),
      host_(host),
      connection_(std::move(connection)),
      last_active_(options_.now) {}

void ReplyTicket::give(std::unique_ptr<ReplyStream> stream) const {
  if (Session* alive = host->session(session)) alive->finish(slot, std::move(stream));
}

void Session::start() {
  connection_->set_handler(this);
  connection_->keep_alive();
  connection_->start_reading();
}

// --- Requests -------------------------------------------------------------------------------

void Session::received(Bytes bytes) {
  if (closing_) return;  // Lingering: read, so that no reset is sent, and forgotten.
  last_active_ = monotonic_now();
  if (!begun_) begun_ = last_active_;
  input_ += bytes;
  run();
}

void Session::ended() {
  input_ended_ = true;
  if (lingering_) return end();
  run();
}

void Session::failed(const std::string&) {
  end();
}

bool Session::must_wait() {
  paused_ = unread() > (paused_ ? unread_bytes_max / 2 : unread_bytes_max);
  return closing_ || paused_ || waits_for_ || replies_.has_stream() ||
         replies_.size() >= replies_waiting_max;
}

void Session::run() {
  if (running_ || over_) return;
  running_ = true;
  bool progress = true;
  std::size_t taken = 0;
  while (progress && !must_wait() && taken < requests_per_turn_max) {
    progress = take_one();
    ++taken;
  }
  running_ = false;
  if (over_) return;
  if (taken == requests_per_turn_max) host_.has_more_to_do(id());
  if (input_ended_ && !progress) close_after_replies();
  input_.erase(0, closing_ ? input_.size() : used_);
  used_ = 0;
  waiting_ = must_wait();
  if (waiting_)
    connection_->stop_reading();
  else if (!input_ended_)
    connection_->start_reading();
  host_.reply_is_due(id());
}

bool Session::take_one() {
  if (!protocol_ && !decide()) return false;
  if (over_ || closing_ || unused_input().empty()) return false;
  const std::size_t taken = protocol_->take(unused_input());
  used_ += taken;
  return taken > 0;
}

// False: not decided yet, or nothing is to be done any more.
bool Session::decide() {
  const Sniffed sniffed = sniff(unused_input());
  if (sniffed.dialect == Dialect::undecided) return false;
  used_ += sniffed.skipped;
  if (sniffed.dialect == Dialect::peer_control || sniffed.dialect == Dialect::peer_bulk) {
    used_ += peer_preface_bytes;
    over_ = true;
    host_.is_peer(*this,
                  sniffed.dialect == Dialect::peer_bulk ? LinkClass::bulk : LinkClass::control);
    return false;
  }
  protocol_ = host_.make_protocol(sniffed.dialect, *this);
  if (!protocol_) {
    close_after_replies();
    return false;
  }
  if (options_.refused) {
    protocol_->refuse(*options_.refused);
    close_after_replies();
    return false;
  }
  return true;
}

Session::Taken Session::give_up_connection() {
  connection_->stop_reading();
  connection_->set_handler(nullptr);
  return {std::move(connection_), input_.substr(used_)};
}

// --- Replies --------------------------------------------------------------------------------

void Session::reply(std::string bytes, Position position) {
  replies_.add(std::move(bytes), position);
}

void Session::stream(std::unique_ptr<ReplyStream> stream) {
  replies_.add(std::move(stream));
}

ReplyQueue::Slot Session::reserve() {
  return replies_.reserve();
}

ReplyQueue::Slot Session::reserve_and_wait() {
  waits_for_ = replies_.reserve();
  return *waits_for_;
}

void Session::finish(ReplyQueue::Slot slot, std::string bytes, Position position) {
  replies_.finish(slot, std::move(bytes), position);
  slot_is_filled(slot);
}

void Session::finish(ReplyQueue::Slot slot, std::unique_ptr<ReplyStream> stream) {
  replies_.finish(slot, std::move(stream));
  slot_is_filled(slot);
}

void Session::slot_is_filled(ReplyQueue::Slot slot) {
  if (waits_for_ == slot) {
    waits_for_.reset();
    if (!running_) host_.has_more_to_do(id());
  }
  host_.reply_is_due(id());
}

void Session::turn_end(Position durable) {
  if (over_) return;
  replies_.release(durable, out_);
  produce();
  if (over_) return;
  replies_.release(durable, out_);
  send_out();
  if (over_) return;
  if (waiting_ && !closing_ && !must_wait()) host_.has_more_to_do(id());
  close_if_done();
  if (replies_.waits_for_store()) host_.reply_is_due(id());
}

// One piece per turn; the loop serves the others in between.
void Session::produce() {
  ReplyStream* stream = replies_.stream();
  // Only what the client leaves unread holds a stream up: for that drained() will come.
  if (stream == nullptr || connection_->unsent() > unread_bytes_max) return;
  std::string piece;
  Position promises = 0;
  const ReplyStream::Next next = stream->produce(piece, promises);
  if (next == ReplyStream::Next::broken) return end();
  if (next == ReplyStream::Next::end)
    replies_.end_stream(std::move(piece), promises);
  else
    out_ += piece;
  host_.has_more_to_do(id());
}

void Session::send_out() {
  if (out_.empty()) return;
  connection_->write(std::exchange(out_, {}));
  // A client that takes all at once is never waited for; it has its time, too.
  if (connection_->unsent() == 0) closing_since_ = monotonic_now();
}

// More than the limit is allowed for as long as the client reads: one reply may be larger.
void Session::check_output(Time now) {
  const std::size_t unsent = connection_->unsent();
  if (unsent <= options_.output_buffer_max || unsent != unsent_seen_) {
    unsent_seen_ = unsent;
    unsent_since_ = now;
    return;
  }
  if (now - unsent_since_ <= options_.handshake_timeout) return;
  host_.slow_client(id());
  end();
}

void Session::drained() {
  last_active_ = monotonic_now();
  if (!lingering_) closing_since_ = last_active_;  // It reads; it may have its time.
  host_.has_more_to_do(id());
  host_.reply_is_due(id());
}

// --- The end --------------------------------------------------------------------------------

void Session::close_after_replies() {
  if (closing_) return;
  closing_ = true;
  closing_since_ = monotonic_now();
  host_.reply_is_due(id());
}

void Session::store_failed() {
  if (!over_ && replies_.waits_for_store()) end();
}

void Session::close_if_done() {
  if (!closing_ || lingering_ || !replies_.empty() || connection_->unsent() > 0) return;
  if (input_ended_) return end();
  lingering_ = true;
  closing_since_ = monotonic_now();
  connection_->shutdown();
  connection_->start_reading();
}

void Session::check_time(Time now) {
  if (over_) return;
  check_output(now);
  if (over_) return;
  if (closing_) {
    if (now - closing_since_ > (lingering_ ? linger_timeout : drain_timeout)) end();
    return;
  }
  const Duration silent = now - last_active_;
  if (!protocol_ && (begun_ || options_.refused) &&
      now - begun_.value_or(options_.now) > options_.handshake_timeout)
    return end();
  if (options_.idle_timeout.count() > 0 && silent > options_.idle_timeout && replies_.empty())
    close_after_replies();
}

void Session::end() {
  if (over_) return;
  over_ = true;
  connection_->set_handler(nullptr);
  connection_->stop_reading();
  host_.session_ended(id());
}

}  // namespace dhrt
