// A client of one node, which speaks native text lines and reads RESP replies.
//
// Intuition: queue() collects lines, exchange() moves bytes both ways, so that a pipeline never
// blocks on sending while the node blocks on a client that does not read. call() is the usual
// case: one line, one reply.
//
// Errors: unavailable (cannot connect, connection lost), timeout, corrupt (the other side does
// not speak as a node does). Bounds: one reply is at most reply_bytes_max.
// Threads: one at a time; waits block.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "node/address.h"
#include "node/tls_stream.h"
#include "protocol/reply.h"
#include "protocol/text.h"
#include "storage/base/result.h"
#include "storage/base/time.h"

namespace dhrt {

inline constexpr std::size_t reply_bytes_max = std::size_t{1} << 30;

class Client {
 public:
  // Looks the name up and tries each of its addresses.
  // With a session it speaks TLS; a handshake that fails is an error of the first exchange().
  static Result<Client> connect(const Address& address, Duration timeout, TlsSession tls = nullptr);
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  Result<Reply> call(const std::vector<text::Token>& tokens, Duration timeout);

  // `line` has its line end.
  void queue(Bytes line) { unsent_ += line; }
  std::size_t queued_bytes() const { return unsent_.size() + encrypted_.size(); }
  // Waits at most `wait` until bytes can be moved, moves them and appends the replies that are
  // complete. No reply in time is not an error here; the caller keeps the deadline.
  Status exchange(Duration wait, std::vector<Reply>& replies);
  // False once the other side has closed the connection.
  bool is_alive();

 private:
  Client(int socket, Address address, std::unique_ptr<TlsStream> tls)
      : socket_(socket), address_(std::move(address)), tls_(std::move(tls)) {}
  Status send_queued();
  // Plain bytes become those that are sent.
  void encrypt();
  Status receive();
  Status decrypt(const std::string& ciphertext);
  Status take_replies(std::vector<Reply>& replies);
  std::string where() const { return to_text(address_); }

  int socket_ = -1;
  Address address_;
  std::unique_ptr<TlsStream> tls_;  // Null: it speaks plainly.
  std::string unsent_;
  std::string encrypted_;  // Of TLS: what is to be sent of it.
  std::string received_;
  bool closed_ = false;
};

}  // namespace dhrt
