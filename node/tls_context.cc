#include "node/tls_context.h"

#include <array>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>
#include <utility>

#include "node/address.h"
#include "node/log.h"
#include "storage/base/bytes.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration look_again{1000};
constexpr Bytes http_protocol_name = "\x08http/1.1";  // As ALPN lists it.

tl::unexpected<Error> refuse(const std::string& flag, const std::string& path) {
  return fail(ErrorCode::invalid_argument, flag + " " + path + ": " + tls_error());
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offered, unsigned offered_bytes, void*) {
  const auto* ours = reinterpret_cast<const unsigned char*>(http_protocol_name.data());
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(&found, chosen_bytes, ours,
                                           static_cast<unsigned>(http_protocol_name.size()),
                                           offered, offered_bytes);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

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
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

// A pipe would make its reader wait.
Status TlsContext::check_regular(const Files& files) {
  for (const auto& [flag, path] :
       {std::pair{"--tls-cert", files.certificate}, std::pair{"--tls-key", files.key},
        std::pair{"--tls-client-ca", files.client_ca}}) {
    struct stat found {};
    if (path.empty() || ::stat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode)) continue;
    return fail(ErrorCode::invalid_argument,
                std::string(flag) + " " + path + ": it is no regular file; name one");
  }
  return {};
}

TlsContext::TlsContext(Files files, Context context, std::string stamp)
    : files_(std::move(files)), context_(std::move(context)), stamp_(std::move(stamp)) {}

Result<TlsContext::Context> TlsContext::read(const Files& files) {
  if (auto status = check_regular(files); !status) return tl::unexpected(status.error());
  Context context = make_context(TLS_server_method());
  if (!context) return refuse("--tls-cert", files.certificate);
  SSL_CTX* const raw = context.get();
  // A key that asks for a passphrase is an error; by itself OpenSSL waits for one at the terminal.
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
    return refuse("--tls-cert", files.certificate);
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1)
    return refuse("--tls-key", files.key);
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  // Sessions are resumed by tickets, which may tell nothing of another server's clients.
  constexpr std::array<unsigned char, 4> session_context{'d', 'h', 'r', 't'};
  SSL_CTX_set_session_id_context(raw, session_context.data(), session_context.size());
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (files.client_ca.empty()) return context;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(files.client_ca.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(raw, files.client_ca.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return refuse("--tls-client-ca", files.client_ca);
  }
  SSL_CTX_set_client_CA_list(raw, names);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(Files files) {
  std::string stamp = stamp_of(files);  // First: what changes meanwhile is read again.
  auto context = read(files);
  if (!context) return tl::unexpected(context.error());
  return std::unique_ptr<TlsContext>(
      new TlsContext(std::move(files), *std::move(context), std::move(stamp)));
}

Result<std::unique_ptr<TlsContext>> TlsContext::trusting(const std::string& ca_file) {
  Context context = make_context(TLS_client_method());
  if (!context) return refuse("--tls-ca", ca_file);
  const int status = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                     : SSL_CTX_load_verify_file(context.get(), ca_file.c_str());
  if (status != 1) return refuse("--tls-ca", ca_file);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return std::unique_ptr<TlsContext>(new TlsContext({}, std::move(context), {}));
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
  auto context = read(files_);
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

TlsSession TlsContext::accept() {
  if (is_due()) read_again_if_changed();
  const std::lock_guard lock(mutex_);
  TlsSession session(SSL_new(context_.get()));
  if (session) SSL_set_accept_state(session.get());
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
