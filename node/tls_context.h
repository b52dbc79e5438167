// The certificate of a node, or what a client of one trusts.
//
// Files that changed are read again when somebody connects, at most once a second: who replaces
// them restarts nothing. While they do not fit each other the earlier ones hold, and the log says
// why. TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by OpenSSL; no renegotiation. ALPN (RFC 7301) picks
// `http/1.1` where it is offered, and no protocol otherwise.
//
// Errors: invalid_argument with the flag, the file and what OpenSSL says. Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "storage/base/result.h"
#include "storage/base/time.h"

struct ssl_ctx_st;
struct ssl_st;

namespace dhrt {

struct TlsFree {
  void operator()(ssl_ctx_st* context) const;
  void operator()(ssl_st* stream) const;
};
using TlsSession = std::unique_ptr<ssl_st, TlsFree>;

// What OpenSSL has to say about the last failure on this thread; it is forgotten then.
std::string tls_error();

class TlsContext {
 public:
  struct Files {
    std::string certificate;  // PEM, of the node first, then those that signed it.
    std::string key;          // PEM, without a passphrase.
    std::string client_ca;    // PEM; not empty: clients need a certificate that it signed.
  };
  static Result<std::unique_ptr<TlsContext>> load(Files files);
  // For clients, which trust who is signed by the certificates in `ca_file`; empty: the system's.
  static Result<std::unique_ptr<TlsContext>> trusting(const std::string& ca_file);

  // For one that connected.
  TlsSession accept();
  // To one whose certificate has to be for that name or address.
  TlsSession connect(const std::string& host_and_zone);

 private:
  using Context = std::shared_ptr<ssl_ctx_st>;
  TlsContext(Files files, Context context, std::string stamp);
  static Status check_regular(const Files& files);
  static Result<Context> read(const Files& files);
  // Changes with the files.
  static std::string stamp_of(const Files& files);
  bool is_due();
  void read_again_if_changed();

  const Files files_;
  std::mutex mutex_;
  Context context_;  // By mutex_, as all that follows.
  std::string stamp_;
  Time looked_at_{};
};

}  // namespace dhrt
