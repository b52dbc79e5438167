// A stream on the loop, of TCP or of a unix socket: bytes in to a handler, bytes out through a
// queue that is measured.
//
// Whoever owns the connection ends it by dropping it; what is unsent is then lost, so look at
// unsent() first. The handler may drop the connection inside any of its calls.
// Units: bytes.   Errors: told to the handler once, then nothing more comes.
// Threads: loop thread only.
#pragma once

#include <memory>
#include <string>

#include "node/event_loop.h"
#include "node/handshake_queue.h"
#include "node/tls_stream.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

class StreamConnection {
 public:
  class Handler {
   public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;
    virtual void received(Bytes bytes) = 0;
    virtual void ended() = 0;                            // The other side sends no more.
    virtual void failed(const std::string& reason) = 0;  // The connection is gone.
    virtual void drained() = 0;                          // Some of what was unsent is sent.
  };

  enum class Kind { tcp, unix_socket };
  explicit StreamConnection(EventLoop& loop, Kind kind = Kind::tcp);
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;
  ~StreamConnection();

  Kind kind() const { return tcp_ != nullptr ? Kind::tcp : Kind::unix_socket; }
  uv_stream_t* raw() { return stream_; }
  uv_tcp_t* tcp() { return tcp_.get(); }     // Null if it is none.
  uv_pipe_t* pipe() { return pipe_.get(); }  // The same.
  // Who speaks TLS here; all outlive the connection.
  struct TlsDoor {
    TlsContext* clients = nullptr;
    TlsContext* peers = nullptr;
    HandshakeQueue* handshakes = nullptr;  // Where there is one of the others.
    bool only = false;                     // Whatever is none is refused.
  };
  // What begins as TLS does is TLS from its first byte on. To be called before anything is read.
  void expect_tls(const TlsDoor& door) { tls_door_ = door; }
  // To one that was called, before anything else.
  void begin_tls(TlsSession session);
  // Goes on at another connection with the same socket, of another loop; null: it is plain.
  std::unique_ptr<TlsStream> give_up_tls() { return std::move(tls_); }
  void go_on_with_tls(std::unique_ptr<TlsStream> tls) { tls_ = std::move(tls); }
  bool is_encrypted() const { return tls_ != nullptr; }
  // The other end is a node, or says that it is one; the second one: and has shown a certificate.
  bool is_tls_for_peer() const { return tls_ != nullptr && tls_->is_for_peer(); }
  bool is_tls_with_peer() const { return tls_ != nullptr && tls_->is_with_peer(); }
  // It failed for what one end says about TLS.
  bool tls_failed() const { return tls_failed_; }
  // The other side has begun, and is not done, with what comes before its first byte.
  bool in_handshake() const { return tls_ != nullptr && tls_->in_handshake(); }
  // It failed for want of TLS, or within its handshake.
  bool misses_tls() const { return failed_ && (tls_ == nullptr ? plain_refused_ : in_handshake()); }
  // `handler` gets everything from now on; null: nobody does.
  void set_handler(Handler* handler) { handler_ = handler; }
  void start_reading();
  void stop_reading();
  // Sends at once what the system takes and queues the rest. `bytes` is empty then, and has kept
  // its memory if all was taken.
  void write(std::string& bytes);
  void write(std::string&& bytes) { write(bytes); }
  std::size_t unsent() const { return uv_stream_get_write_queue_size(stream_); }
  // No more comes from us; what is queued is sent first.
  void shutdown();
  void keep_alive();

  // Both as "127.0.0.1" and so on; empty if not connected, and "unix" at a unix socket.
  std::string local_host() const;
  std::string remote_host() const;
  std::uint16_t remote_port() const;
  // Both ends as "127.0.0.1:5000".
  std::string local_address() const;
  std::string remote_address() const;
  int descriptor() const;  // Below 0: it has none.
  // The other end sends no more, or is gone; seen also while nothing is read. Costs a system call.
  bool is_gone() const;
  // Loopback, RFC 1918, RFC 4193 and link-local addresses, and whoever is at a unix socket.
  bool remote_is_private() const;

 private:
  struct WriteRequest;
  // How many of the bytes the system took at once.
  std::size_t send_now(std::string& bytes);
  void send(std::string& bytes);
  // How many bytes those were.
  std::size_t send_encrypted();
  void read_done(ssize_t count);
  void decide(Bytes first);
  void decrypt(Bytes bytes);
  void decrypt_now(Bytes bytes);
  void wait_for_handshakes(Bytes bytes);
  void write_done(int status);
  void fail(const std::string& reason);

  EventLoop& loop_;
  Handler* handler_ = nullptr;
  bool reading_ = false;
  bool failed_ = false;
  TlsDoor tls_door_;                      // Until the first byte came.
  HandshakeQueue* handshakes_ = nullptr;  // Null: it need not wait for others.
  HandshakeQueue::Ticket ticket_ = 0;     // While it waits; nothing is read then.
  std::string held_;                      // What it will go on with, at most a read.
  bool answered_ = false;                 // The handshake is under way.
  bool plain_refused_ = false;
  bool tls_failed_ = false;
  bool* dropped_ = nullptr;  // While it matters within a call of the handler.
  std::unique_ptr<TlsStream> tls_;
  std::size_t unasked_bytes_ = 0;  // That TLS said since the handler got something.
  UvHandle<uv_tcp_t> tcp_;         // One of the two is there.
  UvHandle<uv_pipe_t> pipe_;
  uv_stream_t* stream_;  // That one.
};

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};
HostAndPort to_host_and_port(const sockaddr_storage& address);
bool is_private_address(const sockaddr_storage& address);

}  // namespace dhrt
