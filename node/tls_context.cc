#include "node/tls_context.h"

#include <algorithm>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "node/address.h"
#include "node/log.h"
#include "storage/base/bytes.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration look_again{1000};
constexpr Bytes http_protocol_name = "\x08http/1.1";  // As ALPN lists it.
constexpr Bytes peer_protocol_name =
    "\x09"
    "dhrt-peer";
constexpr unsigned char session_context_clients[] = {'d', 'h', 'r', 't'};
constexpr unsigned char session_context_peers[] = {'d', 'h', 'r', 't', '-', 'p', 'e', 'e', 'r'};

tl::unexpected<Error> refuse(const std::string& flag, const std::string& path) {
  return fail(ErrorCode::invalid_argument, flag + " " + path + ": " + tls_error());
}

// `list` has the protocols that we take, as ALPN lists them.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offered, unsigned offered_bytes, void* list) {
  const Bytes ours = *static_cast<const Bytes*>(list);
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(
      &found, chosen_bytes, reinterpret_cast<const unsigned char*>(ours.data()),
      static_cast<unsigned>(ours.size()), offered, offered_bytes);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

void take_protocols(SSL_CTX* context, const Bytes& list) {
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, const_cast<Bytes*>(&list));
}

// Where a session keeps the context for nodes, in case that the caller is one.
int peers_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* kept, CRYPTO_EX_DATA*, int, long, void*) {
        SSL_CTX_free(static_cast<SSL_CTX*>(kept));
      });
  return index;
}

// Where it keeps whether it is for one; null: it is not.
int for_peer_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void mark_for_peer(SSL* session) {
  SSL_set_ex_data(session, for_peer_index(), session);
}

bool offers_peer_protocol(SSL* session) {
  const unsigned char* extension = nullptr;
  std::size_t bytes = 0;
  if (SSL_client_hello_get0_ext(session, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                &extension, &bytes) != 1)
    return false;
  // A list with its length in front; the names in it have theirs (RFC 7301, section 3.1).
  Bytes list(reinterpret_cast<const char*>(extension), bytes);
  list.remove_prefix(std::min<std::size_t>(2, list.size()));
  while (!list.empty()) {
    const std::size_t name_bytes = 1 + std::size_t{static_cast<unsigned char>(list.front())};
    if (list.substr(0, name_bytes) == peer_protocol_name) return true;
    list.remove_prefix(std::min(name_bytes, list.size()));
  }
  return false;
}

// A node is served by other certificates than a client, and by these nobody else is.
int choose_context(SSL* session, int* alert, void*) {
  auto* const peers = static_cast<SSL_CTX*>(SSL_get_ex_data(session, peers_index()));
  if (!offers_peer_protocol(session)) {
    if (SSL_get_SSL_CTX(session) != peers) return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_HANDSHAKE_FAILURE;
    return SSL_CLIENT_HELLO_ERROR;
  }
  mark_for_peer(session);
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  if (peers == nullptr || SSL_set_SSL_CTX(session, peers) == nullptr) return SSL_CLIENT_HELLO_ERROR;
  // Of these a session has its own, from the context that it began with.
  SSL_set_verify(session, SSL_CTX_get_verify_mode(peers), nullptr);
  SSL_set_options(session, SSL_OP_NO_TICKET);
  SSL_set_num_tickets(session, 0);
  return SSL_set_min_proto_version(session, TLS1_3_VERSION) == 1 ? SSL_CLIENT_HELLO_SUCCESS
                                                                 : SSL_CLIENT_HELLO_ERROR;
}

struct Flags {
  const char* certificate;
  const char* key;
  const char* ca;
};
constexpr Flags client_flags{"--tls-cert", "--tls-key", "--tls-client-ca"};
constexpr Flags peer_flags{"--peer-tls-cert", "--peer-tls-key", "--peer-tls-ca"};

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), TlsFree());
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection keeps no buffers of 16 KiB.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

}  // namespace

void TlsFree::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}
void TlsFree::operator()(ssl_st* stream) const {
  SSL_free(stream);
}

std::string tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "OpenSSL does not say why";
  // Of a file that cannot be read OpenSSL keeps the number that the system gave, and no words.
  if (ERR_SYSTEM_ERROR(code)) return std::generic_category().message(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

bool is_for_peer(const ssl_st& session) {
  return SSL_get_ex_data(&session, for_peer_index()) != nullptr;
}

bool is_with_peer(const ssl_st& session) {
  const unsigned char* name = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(&session, &name, &bytes);
  return is_for_peer(session) && SSL_version(&session) >= TLS1_3_VERSION &&
         Bytes(reinterpret_cast<const char*>(name), bytes) == peer_protocol_name.substr(1) &&
         SSL_get0_peer_certificate(&session) != nullptr &&
         SSL_get_verify_result(&session) == X509_V_OK &&
         (SSL_get_verify_mode(&session) & SSL_VERIFY_PEER) != 0;
}

// A pipe would make its reader wait.
Status TlsContext::check_regular(const Files& files, Use use) {
  const Flags flags = use == Use::peers ? peer_flags : client_flags;
  for (const auto& [flag, path] :
       {std::pair{flags.certificate, files.certificate}, std::pair{flags.key, files.key},
        std::pair{flags.ca, files.client_ca}}) {
    struct stat found {};
    if (path.empty() || ::stat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode)) continue;
    return fail(ErrorCode::invalid_argument,
                std::string(flag) + " " + path + ": it is no regular file; name one");
  }
  return {};
}

TlsContext::TlsContext(Files files, Use use, Context context, std::string stamp)
    : files_(std::move(files)), use_(use), context_(std::move(context)), stamp_(std::move(stamp)) {}

Result<TlsContext::Context> TlsContext::read(const Files& files, Use use) {
  if (auto status = check_regular(files, use); !status) return tl::unexpected(status.error());
  const Flags flags = use == Use::peers ? peer_flags : client_flags;
  // Nodes call, and are called.
  Context context = make_context(use == Use::peers ? TLS_method() : TLS_server_method());
  if (!context) return refuse(flags.certificate, files.certificate);
  SSL_CTX* const raw = context.get();
  // A key that asks for a passphrase is an error; by itself OpenSSL waits for one at the terminal.
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
    return refuse(flags.certificate, files.certificate);
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1)
    return refuse(flags.key, files.key);
  SSL_CTX_set_client_hello_cb(raw, choose_context, nullptr);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (use == Use::peers) {
    take_protocols(raw, peer_protocol_name);
    SSL_CTX_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(peer_protocol_name.data()),
                            static_cast<unsigned>(peer_protocol_name.size()));
    SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
    // No link resumes another: each end shows its certificate anew.
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
    SSL_CTX_set_session_id_context(raw, session_context_peers, sizeof(session_context_peers));
  } else {
    take_protocols(raw, http_protocol_name);
    // Sessions are resumed by tickets, which may tell nothing of another server's clients.
    SSL_CTX_set_session_id_context(raw, session_context_clients, sizeof(session_context_clients));
  }
  if (files.client_ca.empty()) return context;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(files.client_ca.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(raw, files.client_ca.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return refuse(flags.ca, files.client_ca);
  }
  SSL_CTX_set_client_CA_list(raw, names);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(Files files, Use use) {
  std::string stamp = stamp_of(files);  // First: what changes meanwhile is read again.
  auto context = read(files, use);
  if (!context) return tl::unexpected(context.error());
  return std::unique_ptr<TlsContext>(
      new TlsContext(std::move(files), use, *std::move(context), std::move(stamp)));
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(Files files) {
  return load(std::move(files), Use::clients);
}

Result<std::unique_ptr<TlsContext>> TlsContext::load_for_peers(Files files) {
  // Without one everybody would be a member.
  if (files.client_ca.empty())
    return fail(ErrorCode::invalid_argument,
                "--peer-tls needs --peer-tls-ca, the certificate that signed those of all nodes");
  return load(std::move(files), Use::peers);
}

Result<std::unique_ptr<TlsContext>> TlsContext::trusting(const std::string& ca_file) {
  Context context = make_context(TLS_client_method());
  if (!context) return refuse("--tls-ca", ca_file);
  const int status = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                     : SSL_CTX_load_verify_file(context.get(), ca_file.c_str());
  if (status != 1) return refuse("--tls-ca", ca_file);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return std::unique_ptr<TlsContext>(new TlsContext({}, Use::clients, std::move(context), {}));
}

std::string TlsContext::stamp_of(const Files& files) {
  std::string stamp;
  for (const std::string& path : {files.certificate, files.key, files.client_ca}) {
    struct stat found {};
    if (path.empty() || ::stat(path.c_str(), &found) != 0) continue;
    stamp += std::to_string(found.st_ino) + " " + std::to_string(found.st_size) + " " +
             std::to_string(found.st_ctim.tv_sec) + "." + std::to_string(found.st_ctim.tv_nsec) +
             "\n";
  }
  return stamp;
}

// Outside the lock: other loops are not to wait for a slow disk.
void TlsContext::read_again_if_changed() {
  const std::string stamp = stamp_of(files_);
  {
    const std::lock_guard lock(mutex_);
    if (stamp == stamp_) return;
    stamp_ = stamp;
  }
  auto context = read(files_, use_);
  if (!context)
    return log_warning("the new certificate cannot be used; the earlier one holds: " +
                       context.error().message);
  const std::lock_guard lock(mutex_);
  if (stamp != stamp_) return;  // Another one found newer files meanwhile.
  context_ = *std::move(context);
  log_info("the certificate was read again", {{"file", files_.certificate}});
}

// One caller a second.
bool TlsContext::is_due() {
  const Time now = monotonic_now();
  const std::lock_guard lock(mutex_);
  if (files_.certificate.empty() || now - looked_at_ < look_again) return false;
  looked_at_ = now;
  return true;
}

TlsContext::Context TlsContext::current() {
  if (is_due()) read_again_if_changed();
  const std::lock_guard lock(mutex_);
  return context_;
}

TlsSession TlsContext::accept(TlsContext* clients, TlsContext* peers) {
  if (clients == nullptr && peers == nullptr) return nullptr;
  const Context for_peers = peers != nullptr ? peers->current() : nullptr;
  TlsSession session(SSL_new((clients != nullptr ? clients->current() : for_peers).get()));
  if (!session) return session;
  if (for_peers) {
    SSL_CTX_up_ref(for_peers.get());
    if (SSL_set_ex_data(session.get(), peers_index(), for_peers.get()) != 1) {
      SSL_CTX_free(for_peers.get());
      return nullptr;
    }
  }
  SSL_set_accept_state(session.get());
  return session;
}

TlsSession TlsContext::connect_peer() {
  TlsSession session(SSL_new(current().get()));
  if (!session) return session;
  mark_for_peer(session.get());
  SSL_set_connect_state(session.get());
  return session;
}

TlsSession TlsContext::connect(const std::string& host_and_zone) {
  // "fe80::1%eth0": certificates know no interfaces.
  const std::string host = host_and_zone.substr(0, host_and_zone.find('%'));
  const std::lock_guard lock(mutex_);
  TlsSession session(SSL_new(context_.get()));
  if (!session) return session;
  const bool named =
      is_ip_address(host)
          ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), host.c_str()) == 1
          : SSL_set1_host(session.get(), host.c_str()) == 1 &&
                SSL_set_tlsext_host_name(session.get(), host.c_str()) == 1;
  if (!named) return nullptr;
  SSL_set_connect_state(session.get());
  return session;
}

}  // namespace dhrt
