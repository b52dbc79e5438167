// Listens on the node's address and hands out connections.
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

  // The address with its real port, when port 0 was asked for.
  const Address& bound() const { return bound_; }

 private:
  Listener(EventLoop& loop, Accept accept);
  void connection_waits(int status);

  EventLoop& loop_;
  Accept accept_;
  Address bound_;
  UvHandle<uv_tcp_t> handle_;
};

}  // namespace dhrt
