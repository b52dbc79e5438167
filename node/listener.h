// Listens on the node's address and hands out connections.
//
// Several event loops: each has a listener of its own on the same port, and the kernel gives each
// connection to one of them (SO_REUSEPORT). The first one takes the port for itself before it
// shares it, so that another process never gets a part of our clients, nor we of its.
//
// Errors: busy: the port is in use; invalid_argument: the host is none of this machine's; io.
// Running out of descriptors while accepting is logged and survived. Threads: loop thread only.
#pragma once

#include <functional>
#include <memory>

#include "node/address.h"
#include "node/tcp_connection.h"
#include "storage/base/result.h"

namespace dhrt {

class Listener {
 public:
  using Accept = std::function<void(std::unique_ptr<TcpConnection>)>;
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Address& address,
                                                Accept accept);
  // Lets this process listen on the port again: see open_beside().
  Status share();
  // One more, for another loop; `first` is shared. It takes what comes from now on.
  static Result<std::unique_ptr<Listener>> open_beside(const Listener& first, EventLoop& loop,
                                                       Accept accept);

  // The address with its real port, when port 0 was asked for.
  const Address& bound() const { return bound_; }

 private:
  Listener(EventLoop& loop, const sockaddr_storage& at, Accept accept);
  // libuv's status. `shares`: the port is that of another listener of ours.
  int listen(bool shares);
  int set_reuse_port();
  void connection_waits(int status);

  EventLoop& loop_;
  Accept accept_;
  sockaddr_storage at_;
  Address bound_;
  UvHandle<uv_tcp_t> handle_;
};

}  // namespace dhrt
