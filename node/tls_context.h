// The certificate of a node, for clients or for other nodes, or what a client of one trusts.
//
// Nodes are told from clients by the ALPN protocol `dhrt-peer`: on the same port they get TLS 1.3
// only, with the certificates that are for nodes, and both ends have to show one which the CA for
// nodes signed. Its names say nothing: members move, and are called by address; who has such a
// certificate is a member.
//
// Files that changed are read again when somebody connects, at most once a second: who replaces
// them restarts nothing. While they do not fit each other the earlier ones hold, and the log says
// why. TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by OpenSSL; no renegotiation. ALPN (RFC 7301) picks
// `http/1.1` where a client offers it, and no protocol otherwise.
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

// It is, or wants to be, with another node.
bool is_for_peer(const ssl_st& session);
// Both ends have shown a certificate of the CA for nodes.
bool is_with_peer(const ssl_st& session);

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
  // For nodes: those of `client_ca`, which is needed, are trusted in both directions.
  static Result<std::unique_ptr<TlsContext>> load_for_peers(Files files);
  // For clients, which trust who is signed by the certificates in `ca_file`; empty: the system's.
  static Result<std::unique_ptr<TlsContext>> trusting(const std::string& ca_file);

  // For one that connected: a client, or a node. Null: it is not served; one of them is not.
  static TlsSession accept(TlsContext* clients, TlsContext* peers);
  TlsSession accept() { return accept(this, nullptr); }
  // To one whose certificate has to be for that name or address.
  TlsSession connect(const std::string& host_and_zone);
  // To another node.
  TlsSession connect_peer();

 private:
  using Context = std::shared_ptr<ssl_ctx_st>;
  // By whom it is used, and what its flags are called.
  enum class Use { clients, peers };
  TlsContext(Files files, Use use, Context context, std::string stamp);
  static Result<std::unique_ptr<TlsContext>> load(Files files, Use use);
  static Status check_regular(const Files& files, Use use);
  static Result<Context> read(const Files& files, Use use);
  // As the files are now.
  Context current();
  // Changes with the files.
  static std::string stamp_of(const Files& files);
  bool is_due();
  void read_again_if_changed();

  const Files files_;
  const Use use_;
  std::mutex mutex_;
  Context context_;  // By mutex_, as all that follows.
  std::string stamp_;
  Time looked_at_{};
};

}  // namespace dhrt
