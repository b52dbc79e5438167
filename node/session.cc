#include "node/session.h"

#include <algorithm>
#include <utility>

namespace dhrt {

using namespace session_limits;

void ReplyTicket::give(std::string bytes, Position position) const {
  if (Session* alive = host->session(session)) alive->finish(slot, std::move(bytes), position);
}

Session::Session(std::unique_ptr<StreamConnection> connection, Options options, SessionHost& host)
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
  last_active_ = host_.clock().now();
  if (!begun_) begun_ = last_active_;
  if (input_.empty())
    arrived_ = bytes;  // The common case: whole requests, which nobody copies.
  else
    input_ += bytes;
  take_requests();
}

void Session::ended() {
  input_ended_ = true;
  if (lingering_ || (ends_with_input_ && waits_for_)) return end();
  take_requests();
}

void Session::failed(const std::string& reason) {
  if (!over_ && connection_->misses_tls()) host_.tls_failed(*this, reason);
  end();
}

bool Session::must_wait() {
  paused_ = unread() > (paused_ ? unread_bytes_max / 2 : unread_bytes_max);
  return closing_ || paused_ || waits_for_ || replies_.has_stream() ||
         replies_.size() >= replies_waiting_max;
}

void Session::run() {
  runnable_ = false;
  take_requests();
}

void Session::take_requests() {
  if (running_ || over_) return;
  running_ = true;
  bool progress = true;
  std::size_t taken = 0;
  while (progress && !must_wait() && taken < requests_per_turn_max) {
    const std::size_t more = take_some();
    progress = more > 0;
    taken += more;
  }
  if (input_ended_ && !progress && protocol_ && !over_ && !closing_ && !unused_input().empty())
    end_input();
  running_ = false;
  if (over_) return;
  if (taken >= requests_per_turn_max) is_runnable();
  if (input_ended_ && !progress) close_after_replies();
  keep_unused();
  waiting_ = must_wait();
  const bool looks_for_end = ends_with_input_ && waits_for_ && input_.size() < sent_ahead_bytes_max;
  if (waiting_ && !looks_for_end)
    connection_->stop_reading();
  else if (!input_ended_)
    connection_->start_reading();
  is_due();
}

std::size_t Session::take_some() {
  if (!protocol_ && !decide()) return 0;
  const Bytes input = unused_input();
  if (over_ || closing_ || input.empty()) return 0;
  if (trace_) trace_->before_take(replies_);
  const ClientProtocol::Took took = protocol_->take(input);
  if (trace_ && !over_) trace_->after_take(replies_);
  used_ += took.bytes;
  if (next_protocol_) protocol_ = std::move(next_protocol_);
  return took.bytes == 0 ? 0 : took.requests;
}

void Session::end_input() {
  if (trace_) trace_->before_take(replies_);
  protocol_->end_of_input(unused_input());
  if (trace_ && !over_) trace_->after_take(replies_);
}

void Session::keep_unused() {
  if (!arrived_.empty()) {
    if (!closing_) input_.assign(arrived_.substr(used_));
    arrived_ = {};
  } else if (used_ > 0 || closing_) {
    input_.erase(0, closing_ ? input_.size() : used_);
  }
  used_ = 0;
}

void Session::is_due() {
  if (!std::exchange(due_, true)) host_.reply_is_due(id());
}

void Session::is_runnable() {
  if (!std::exchange(runnable_, true)) host_.has_more_to_do(id());
}

// False: nothing is to be taken, for now or for ever.
bool Session::decide() {
  protocol_ = options_.service == Service::dhrt ? make_protocol()
              : unused_input().empty()          ? nullptr
                                                : host_.make_protocol_of(options_.service, *this);
  if (protocol_) dialect_is_known();
  if (protocol_ && options_.refused) {
    host_.client_refused(*this, *options_.refused);
    protocol_->refuse(*options_.refused);
    close_after_replies();
    return false;
  }
  return protocol_ != nullptr;
}

void Session::dialect_is_known() {
  RequestHooks* const hooks = host_.hooks();
  if (hooks == nullptr) return;
  counted_as_ = protocol_->dialect();
  hooks->connect(counted_as_);
  if (hooks->wants_requests())
    trace_ = std::make_unique<RequestTrace>(*hooks, counted_as_, connection_->remote_address());
}

// By the first bytes. Null: not decided yet, or the session has come to its end.
std::unique_ptr<ClientProtocol> Session::make_protocol() {
  const Sniffed sniffed = sniff(unused_input());
  if (sniffed.dialect == Dialect::undecided) return nullptr;
  used_ += sniffed.skipped;
  if (sniffed.dialect == Dialect::peer_control || sniffed.dialect == Dialect::peer_bulk) {
    used_ += peer_preface_bytes;
    if (const auto answer = host_.refuse_peer(*this)) {
      reply(*answer, 0);
      close_after_replies();
      return nullptr;
    }
    over_ = true;
    host_.is_peer(*this,
                  sniffed.dialect == Dialect::peer_bulk ? LinkClass::bulk : LinkClass::control);
    return nullptr;
  }
  auto protocol = host_.make_protocol(sniffed.dialect, *this);
  if (!protocol) close_after_replies();
  return protocol;
}

const std::string& Session::client_host() {
  if (client_host_.empty()) client_host_ = connection_->remote_host();
  return client_host_;
}

Session::Taken Session::give_up_connection() {
  connection_->stop_reading();
  connection_->set_handler(nullptr);
  return {std::move(connection_), std::string(unused_input())};
}

// --- Replies --------------------------------------------------------------------------------

void Session::stream(std::unique_ptr<ReplyStream> stream) {
  replies_.add(std::move(stream));
}

ReplyQueue::Slot Session::reserve() {
  const ReplyQueue::Slot slot = replies_.reserve();
  if (trace_) trace_->reserves(slot);
  return slot;
}

ReplyQueue::Slot Session::reserve_and_wait() {
  waits_for_ = reserve();
  return *waits_for_;
}

void Session::finish(ReplyQueue::Slot slot, std::string bytes, Position position) {
  if (trace_) trace_->finished(slot, bytes);
  replies_.finish(slot, std::move(bytes), position);
  slot_is_filled(slot);
}

void Session::finish(ReplyQueue::Slot slot, std::unique_ptr<ReplyStream> stream) {
  if (trace_) trace_->finished(slot, {});
  replies_.finish(slot, std::move(stream));
  slot_is_filled(slot);
}

void Session::push(Bytes bytes) {
  if (over_ || closing_) return;
  if (unread() > options_.output_buffer_max) {
    host_.slow_client(id());
    return end();
  }
  reply(bytes, 0);
  is_due();
}

void Session::slot_is_filled(ReplyQueue::Slot slot) {
  if (waits_for_ == slot) {
    waits_for_.reset();
    ends_with_input_ = false;
    if (!running_) is_runnable();
  }
  is_due();
}

void Session::turn_end(Position durable) {
  due_ = false;
  if (over_) return;
  replies_.release(durable, out_);
  if (replies_.stream() != nullptr) {
    produce();
    if (over_) return;
    replies_.release(durable, out_);
  }
  if (listens_) produce_unasked();
  send_out();
  if (over_) return;
  if (trace_) trace_->sent(replies_);
  if (waiting_ && !closing_ && !must_wait()) is_runnable();
  close_if_done();
  if (replies_.waits_for_store()) is_due();
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
  is_runnable();
}

// The same, for who is told what it did not ask for now.
void Session::produce_unasked() {
  if (!protocol_ || closing_ || !replies_.empty()) return;
  if (connection_->unsent() + out_.size() > unread_bytes_max) return;
  if (protocol_->produce(out_)) is_runnable();
}

void Session::send_out() {
  if (out_.empty()) return;
  connection_->write(out_);
  if (out_.capacity() > kept_bytes_max) out_ = {};
  // A client that takes all at once is never waited for; it has its time, too.
  if (connection_->unsent() == 0) closing_since_ = host_.clock().now();
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
  last_active_ = host_.clock().now();
  if (!lingering_) closing_since_ = last_active_;  // It reads; it may have its time.
  is_runnable();
  is_due();
}

Session::Usage Session::usage() const {
  const auto seconds_since = [now = host_.clock().now()](Time then) {
    const Duration passed = now - then;
    return static_cast<std::uint64_t>(std::max<Duration::rep>(passed.count(), 0) / 1000);
  };
  return {.seconds_connected = seconds_since(options_.now),
          .seconds_idle = seconds_since(last_active_),
          .input_bytes = unused_input().size(),
          .replies = replies_.size(),
          .reply_bytes = replies_.bytes() + out_.size(),
          .unsent_bytes = connection_->unsent()};
}

// --- The end --------------------------------------------------------------------------------

void Session::close_after_replies() {
  if (closing_) return;
  closing_ = true;
  closing_since_ = host_.clock().now();
  is_due();
}

void Session::store_failed() {
  if (!over_ && replies_.waits_for_store()) end();
}

void Session::close_if_done() {
  if (!closing_ || lingering_ || !replies_.empty() || connection_->unsent() > 0) return;
  if (input_ended_) {
    // Who reads to the end of TLS wants to be told it.
    if (connection_->is_encrypted()) connection_->shutdown();
    return end();
  }
  lingering_ = true;
  closing_since_ = host_.clock().now();
  connection_->shutdown();
  connection_->start_reading();
}

void Session::check_time(Time now) {
  if (over_) return;
  check_output(now);
  if (over_) return;
  // Nothing is read while it waits, so that its end would not be seen.
  if (ends_with_input_ && waits_for_ && connection_->is_gone()) return end();
  if (closing_) {
    if (now - closing_since_ > (lingering_ ? linger_timeout : drain_timeout)) end();
    return;
  }
  if (protocol_ && listens_) protocol_->look(now);
  const Duration silent = now - last_active_;
  if (silent > idle_after) give_memory_back();
  // Nothing arrives here of a handshake, which begins when the client wants it.
  if (!begun_ && connection_->in_handshake()) begun_ = now;
  if (!protocol_ && (begun_ || options_.refused) &&
      now - begun_.value_or(options_.now) > options_.handshake_timeout)
    return end();
  if (protocol_) protocol_->check_time(now, waiting_ ? Duration{} : options_.handshake_timeout);
  if (options_.idle_timeout.count() > 0 && silent > options_.idle_timeout && replies_.empty() &&
      !listens_)
    close_after_replies();
}

void Session::give_memory_back() {
  replies_.shrink();
  if (out_.empty()) out_ = {};
  if (input_.empty()) input_ = {};
}

void Session::end() {
  if (over_) return;
  over_ = true;
  if (trace_) trace_->lost();
  if (protocol_ && host_.hooks() != nullptr) host_.hooks()->disconnect(counted_as_);
  connection_->set_handler(nullptr);
  connection_->stop_reading();
  host_.session_ended(id());
}

}  // namespace dhrt
