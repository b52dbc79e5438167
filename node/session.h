// One client connection: finds out the dialect, unless its listener has one, hands request after
// request to it, and gives the replies in order.
//
// Intuition: a session only does as much per turn as keeps the loop fair, and takes no request
// while its client does not read (back-pressure), while a reply that later requests depend on is
// outstanding, or while it closes. Replies leave at the end of a turn, all in one write.
//
// Units: bytes.   Bounds: see session_limits below.   Threads: loop thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cluster/message.h"
#include "node/access.h"
#include "node/endpoint.h"
#include "node/reply_queue.h"
#include "node/request_trace.h"
#include "node/stream_connection.h"
#include "node/turn_clock.h"
#include "protocol/limits.h"
#include "protocol/sniff.h"

namespace dhrt {

using SessionId = std::uint64_t;
class Session;
struct RedisClient;

// The dialect of a session.
class ClientProtocol {
 public:
  ClientProtocol() = default;
  ClientProtocol(const ClientProtocol&) = delete;
  ClientProtocol& operator=(const ClientProtocol&) = delete;
  virtual ~ClientProtocol() = default;
  struct Took {
    std::size_t bytes = 0;  // 0: more is needed.
    std::size_t requests = 1;
  };
  // Takes a request from the front of `input` and sees to its reply; several, if the session
  // takes_more() after each.
  virtual Took take(Bytes input) = 0;
  // The client sends no more, and take() wants more than this.
  virtual void end_of_input(Bytes rest) { static_cast<void>(rest); }
  // Tells the client that it is not served at all. The session closes then.
  virtual void refuse(const Error& why) = 0;
  // For who listens (Session::set_listening): appends a piece of what the client did not ask for
  // now; true: there is more. Called at the end of a turn in which the session had something to do
  // (see Session::has_news), behind all replies, and only while the client reads.
  virtual bool produce(std::string& out) {
    static_cast<void>(out);
    return false;
  }
  // The same: called a few times a second.
  virtual void look(Time now) { static_cast<void>(now); }
  // What the connection counts as, if it is its first protocol.
  virtual ClientDialect dialect() const { return ClientDialect::text; }
  // What it remembers of a Redis client; null: it sent no command of one.
  virtual const RedisClient* redis_client() const { return nullptr; }
  // Called now and then. A client that does not go on with what it has begun for longer than
  // `patience` is told so, and the session closes then. 0: it is not listened to for now.
  virtual void check_time(Time now, Duration patience) {
    static_cast<void>(now);
    static_cast<void>(patience);
  }
};

// What a session needs from the node.
class SessionHost {
 public:
  SessionHost() = default;
  SessionHost(const SessionHost&) = delete;
  SessionHost& operator=(const SessionHost&) = delete;
  virtual ~SessionHost() = default;
  virtual TurnClock& clock() = 0;
  virtual Session* session(SessionId id) = 0;  // Null if it has ended.
  // Call turn_end() when this turn ends. Asked once until then.
  virtual void reply_is_due(SessionId id) = 0;
  // Call run() in the next turn. Asked once until then.
  virtual void has_more_to_do(SessionId id) = 0;
  virtual void session_ended(SessionId id) = 0;  // Drop it when this turn ends.
  // What a peer is told that is not let in, which may be nothing; absent: it may come in.
  virtual std::optional<std::string> refuse_peer(Session& session) = 0;
  virtual void is_peer(Session& session, LinkClass link_class) = 0;  // Take its connection.
  // It ended for what it, or this node, says about TLS.
  virtual void tls_failed(Session& session, const std::string& reason) = 0;
  virtual void slow_client(SessionId id) = 0;  // It was cut off.
  // It is told that it is not served at all (Session::Options::refused).
  virtual void client_refused(Session& session, const Error& why) = 0;
  // Null: the session was answered already, and closes.
  virtual std::unique_ptr<ClientProtocol> make_protocol(Dialect dialect, Session& session) = 0;
  // Who is told of the client and its requests; null: nobody.
  virtual RequestHooks* hooks() { return nullptr; }
  // For a listener of one dialect, that is of any service but dhrt.
  virtual std::unique_ptr<ClientProtocol> make_protocol_of(Service service, Session& session) = 0;
};

namespace session_limits {
// A client that leaves this much of its replies unread is not listened to, until half is gone.
inline constexpr std::size_t unread_bytes_max = std::size_t{1} << 20;
// Replies that wait for the disk or for peers; more requests wait unread.
inline constexpr std::size_t replies_waiting_max = 16384;
// Requests of one client per turn, so that others get theirs.
inline constexpr std::size_t requests_per_turn_max = 2048;
// Memory for replies that a session keeps from one turn to the next, and how long it keeps any.
inline constexpr std::size_t kept_bytes_max = std::size_t{64} << 10;
inline constexpr Duration idle_after{1000};
// What is taken in of a client while its reply may be long in coming: its end is behind all it sent
// ahead. Beyond this the end is seen only when the system gives the connection up.
inline constexpr std::size_t sent_ahead_bytes_max = std::size_t{1} << 20;
// How long a closing session may take to send its last replies.
inline constexpr Duration drain_timeout{30000};
// How long it waits then for the client to close, so that no reset overtakes the last reply.
inline constexpr Duration linger_timeout{1000};
}  // namespace session_limits

class Session final : private StreamConnection::Handler {
 public:
  struct Options {
    SessionId id = 0;
    Service service = Service::dhrt;
    const Grant* grant = nullptr;  // Of who has shown no token yet.
    std::size_t output_buffer_max = 0;
    Duration handshake_timeout{};
    Duration idle_timeout{};       // 0: never.
    std::optional<Error> refused;  // The client is told this in its dialect, and nothing else.
    Time now;
  };
  Session(std::unique_ptr<StreamConnection> connection, Options options, SessionHost& host);
  void start();

  // --- For the node.
  void run();
  void turn_end(Position durable);
  void check_time(Time now);
  void set_idle_timeout(Duration timeout) { options_.idle_timeout = timeout; }
  // The disk failed: replies that wait for it can never be given truly, so the client is cut off.
  void store_failed();
  // Takes no further request; closes when what was asked is answered.
  void close_after_replies();
  // Ends at once, whatever is not sent yet.
  void cut_off() { end(); }
  struct Taken {
    std::unique_ptr<StreamConnection> connection;
    std::string rest;
  };
  Taken give_up_connection();

  // --- For protocols.
  // What the client may do, by the token that it has shown.
  const Grant& grant() const { return *options_.grant; }
  void set_grant(const Grant& grant) { options_.grant = &grant; }
  SessionId id() const { return options_.id; }
  SessionHost& host() { return host_; }
  const StreamConnection& connection() const { return *connection_; }
  // Where the client is, as StreamConnection::remote_host() has it; asked of the system once.
  const std::string& client_host();
  const RedisClient* redis_client() const {
    return protocol_ ? protocol_->redis_client() : nullptr;
  }
  // Each request is followed: take() is to take one, and to call starts_request() when it is there
  // as a whole. The name is what TracedRequest::name may hold.
  bool is_traced() const { return trace_ != nullptr; }
  void starts_request(ClientDialect dialect, Bytes name) {
    if (trace_) trace_->starts(dialect, name);
  }
  // For the request that started last.
  void specify_request(Bytes more) {
    if (trace_) trace_->specify(more);
  }
  void request_fails(std::string error) {
    if (trace_) trace_->fails(std::move(error));
  }
  bool closes() const { return closing_; }
  bool is_over() const { return over_; }  // It is dropped when the turn ends.
  struct Usage {
    std::uint64_t seconds_connected = 0;
    std::uint64_t seconds_idle = 0;
    std::size_t input_bytes = 0;  // Of requests that were not taken yet.
    std::size_t replies = 0;      // That wait, be it for the disk or for other nodes.
    std::size_t reply_bytes = 0;
    std::size_t unsent_bytes = 0;
  };
  Usage usage() const;
  void reply(Bytes bytes, Position position) { open_reply(position) += bytes; }
  // Where a complete reply is to be appended, at once.
  std::string& open_reply(Position position) { return replies_.open(position); }
  // Another request may be taken in the same call of take().
  bool takes_more() { return !must_wait() && !next_protocol_; }
  // The same after a request that did no more than append its reply.
  bool has_room() const { return replies_.bytes() <= session_limits::unread_bytes_max; }
  void stream(std::unique_ptr<ReplyStream> stream);
  ReplyQueue::Slot reserve();
  // As reserve(), and no further request is taken before that reply is there.
  ReplyQueue::Slot reserve_and_wait();
  // The reply that is waited for may never come: a client that sends no more, while it waits, is
  // taken to have gone.
  void end_with_input() { ends_with_input_ = true; }
  void finish(ReplyQueue::Slot slot, std::string bytes, Position position);
  void finish(ReplyQueue::Slot slot, std::unique_ptr<ReplyStream> stream);
  // Something that the client did not ask for now, behind all replies that are complete. A client
  // that leaves too much unread is cut off.
  void push(Bytes bytes);
  // When the request that is being taken is done, another dialect has the connection.
  void become(std::unique_ptr<ClientProtocol> next) { next_protocol_ = std::move(next); }
  bool becomes_another() const { return next_protocol_ != nullptr; }
  // Asks the protocol to produce() at the end of this turn.
  void has_news() { is_due(); }
  // Who listens is not idle.
  void set_listening(bool listens) { listens_ = listens; }

 private:
  void received(Bytes bytes) override;
  void ended() override;
  void failed(const std::string& reason) override;
  void drained() override;

  bool must_wait();
  void take_requests();
  // How many requests were taken.
  std::size_t take_some();
  void end_input();
  bool decide();
  void dialect_is_known();
  std::unique_ptr<ClientProtocol> make_protocol();
  Bytes unused_input() const { return (arrived_.empty() ? Bytes(input_) : arrived_).substr(used_); }
  void keep_unused();
  void is_due();
  void is_runnable();
  std::size_t unread() const { return replies_.bytes() + out_.size() + connection_->unsent(); }
  void produce();
  void produce_unasked();
  void send_out();
  void check_output(Time now);
  void close_if_done();
  void give_memory_back();
  void slot_is_filled(ReplyQueue::Slot slot);
  void end();

  Options options_;
  SessionHost& host_;
  std::unique_ptr<StreamConnection> connection_;
  std::unique_ptr<ClientProtocol> protocol_;
  std::unique_ptr<ClientProtocol> next_protocol_;
  std::unique_ptr<RequestTrace> trace_;  // Null: nobody wants to know.
  Bytes arrived_;         // Within received(): all there is to take, where it was read.
  std::string input_;     // Otherwise: what is left of earlier bytes.
  std::size_t used_ = 0;  // Of the input, by requests already taken.
  ReplyQueue replies_;
  std::string out_;
  std::string client_host_;  // Empty until it is asked for.
  std::optional<ReplyQueue::Slot> waits_for_;
  std::optional<Time> begun_;  // When the first byte came.
  Time last_active_;
  Time closing_since_{};
  std::size_t unsent_seen_ = 0;  // At the last look, and since when it is that much.
  Time unsent_since_;
  ClientDialect counted_as_ = ClientDialect::text;  // Once it has a protocol; watching is of none.
  bool paused_ = false;                             // The client does not read.
  bool waiting_ = false;                            // Requests are not taken for now.
  bool due_ = false;                                // The host was told.
  bool runnable_ = false;                           // The host was told.
  bool running_ = false;      // Guards against a reply that comes within a request.
  bool input_ended_ = false;  // The client sends no more.
  bool closing_ = false;
  bool lingering_ = false;
  bool listens_ = false;
  bool ends_with_input_ = false;
  bool over_ = false;
};

// A reply that is given later, when its session may be gone.
struct ReplyTicket {
  SessionHost* host = nullptr;
  SessionId session = 0;
  ReplyQueue::Slot slot = 0;

  void give(std::string bytes, Position position) const;
  void give(std::unique_ptr<ReplyStream> stream) const;
};

}  // namespace dhrt
