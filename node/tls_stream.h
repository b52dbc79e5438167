// One connection in TLS: ciphertext in, plain bytes out, and the other way round. Moves no bytes
// itself; whoever does sends take_output() after every call.
//
// Errors: corrupt, with the reason; what take_output() has then is the alert for the other side,
// and nothing else may be asked of the stream. Threads: the one of its connection.
#pragma once

#include <string>

#include "node/tls_context.h"
#include "storage/base/bytes.h"

namespace dhrt {

class TlsStream {
 public:
  // `session` may be null, if memory ran out: the first receive() is an error.
  explicit TlsStream(TlsSession session);

  // Begins, where the first word is ours.
  Status start() { return shake_hands(); }
  // Appends what is in `ciphertext` to `plain`.
  Status receive(Bytes ciphertext, std::string& plain);
  // Kept until the handshake is done.
  void send(Bytes plain);
  // Says that no more is sent.
  void close();

  bool in_handshake() const { return !shaken_; }
  // See tls_context.h; the second one after the handshake only.
  bool is_for_peer() const;
  bool is_with_peer() const { return with_peer_; }
  // The other side sends no more.
  bool has_ended() const { return ended_; }
  // What is to be sent; it is empty then.
  std::string take_output();

 private:
  Status shake_hands();
  Status failed();
  Status decrypt(std::string& plain);
  void encrypt(Bytes plain);
  void take_records();

  TlsSession session_;
  std::string output_;
  std::string waiting_;  // To be sent when the handshake is done.
  bool shaken_ = false;
  bool with_peer_ = false;
  bool ended_ = false;
};

}  // namespace dhrt
