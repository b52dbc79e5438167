// A port, or a unix socket, that accepts connections.
//
// Of a port there is one listener for each event loop, and the kernel gives each connection to one
// of them (SO_REUSEPORT). The first one takes the port for itself before it shares it, so that
// another process never gets a part of our clients, nor we of its. Of a unix socket there is one.
// The file of a unix socket whose process is gone is replaced; ours is removed with the listener.
//
// Errors: busy: the port or the socket is in use; invalid_argument: the host is none of this
// machine's, or what stands at the path is no socket; io.
// Running out of descriptors while accepting is logged and survived. Threads: loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "node/endpoint.h"
#include "node/stream_connection.h"
#include "node/unix_socket.h"
#include "storage/base/result.h"

namespace dhrt {

class Listener {
 public:
  using Accept = std::function<void(std::unique_ptr<StreamConnection>)>;
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Endpoint& endpoint,
                                                Accept accept);
  // Lets this process listen on the port again: see open_beside(). Not of a unix socket.
  Status share();
  // One more, for another loop; `first` is shared. It takes what comes from now on.
  static Result<std::unique_ptr<Listener>> open_beside(const Listener& first, EventLoop& loop,
                                                       Accept accept);

  // With its real port, when port 0 was asked for.
  const Endpoint& bound() const { return bound_; }

 private:
  Listener(EventLoop& loop, Endpoint endpoint, Accept accept);
  static Result<std::unique_ptr<Listener>> open_tcp(EventLoop& loop, const Endpoint& endpoint,
                                                    Accept accept);
  static Result<std::unique_ptr<Listener>> open_unix(EventLoop& loop, const Endpoint& endpoint,
                                                     Accept accept);
  void make_tcp_handle(const sockaddr_storage& at);
  // libuv's status. `shares`: the port is that of another listener of ours.
  int listen_tcp(bool shares);
  int listen_unix(FileDescriptor socket);
  int listen(uv_stream_t* stream);
  int set_reuse_port();
  void connection_waits(int status);

  EventLoop& loop_;
  Accept accept_;
  sockaddr_storage at_{};
  Endpoint bound_;
  std::optional<UnixSocketFile> file_;
  UvHandle<uv_tcp_t> tcp_;  // One of the two is there.
  UvHandle<uv_pipe_t> pipe_;
};

}  // namespace dhrt
