#include "node/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <utility>

namespace dhrt {

namespace {

// A record holds at most so much (RFC 8446, section 5.1).
constexpr std::size_t record_bytes_max = std::size_t{16} << 10;
// OpenSSL's buffers keep the memory of the most they ever held.
constexpr std::size_t piece_bytes_max = std::size_t{16} << 10;

}  // namespace

TlsStream::TlsStream(TlsSession session) : session_(std::move(session)) {
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  if (session_ != nullptr && in != nullptr && out != nullptr) {
    SSL_set_bio(session_.get(), in, out);  // It owns them.
    return;
  }
  BIO_free(in);
  BIO_free(out);
  session_.reset();
}

Status TlsStream::failed() {
  if (session_ == nullptr) return fail(ErrorCode::corrupt, "OpenSSL has no memory");
  const long verified = SSL_get_verify_result(session_.get());
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return fail(ErrorCode::corrupt, std::string("the certificate is not good: ") +
                                        X509_verify_cert_error_string(verified));
  }
  return fail(ErrorCode::corrupt, tls_error());
}

bool TlsStream::is_for_peer() const {
  return session_ != nullptr && dhrt::is_for_peer(*session_);
}

Status TlsStream::shake_hands() {
  if (session_ == nullptr) return failed();
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result == 1) {
    with_peer_ = dhrt::is_with_peer(*session_);
    if (is_for_peer() && !with_peer_)
      return fail(ErrorCode::corrupt,
                  "it speaks TLS with clients, not with nodes; start it with "
                  "--peer-tls, too");
    shaken_ = true;
    encrypt(std::exchange(waiting_, {}));
    return {};
  }
  return SSL_get_error(session_.get(), result) == SSL_ERROR_WANT_READ ? Status{} : failed();
}

Status TlsStream::receive(Bytes ciphertext, std::string& plain) {
  if (session_ == nullptr) return failed();
  while (!ciphertext.empty()) {
    const Bytes piece = ciphertext.substr(0, piece_bytes_max);
    const auto bytes = static_cast<int>(piece.size());
    if (BIO_write(SSL_get_rbio(session_.get()), piece.data(), bytes) != bytes) return failed();
    ciphertext.remove_prefix(piece.size());
    if (!shaken_) {
      if (Status status = shake_hands(); !status) return status;
    }
    if (shaken_) {
      if (Status status = decrypt(plain); !status) return status;
    }
  }
  return {};
}

// All that is there.
Status TlsStream::decrypt(std::string& plain) {
  while (!ended_) {
    const std::size_t held = plain.size();
    plain.resize(held + record_bytes_max);
    std::size_t read = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(session_.get(), plain.data() + held, record_bytes_max, &read);
    plain.resize(held + (result == 1 ? read : 0));
    if (result == 1) continue;
    const int error = SSL_get_error(session_.get(), result);
    if (error == SSL_ERROR_WANT_READ) return {};
    if (error != SSL_ERROR_ZERO_RETURN) return failed();
    ended_ = true;
  }
  return {};
}

void TlsStream::send(Bytes plain) {
  if (shaken_)
    encrypt(plain);
  else
    waiting_ += plain;
}

// To memory, so that it takes everything at once; a session that failed takes nothing.
void TlsStream::encrypt(Bytes plain) {
  if (session_ == nullptr) return;
  while (!plain.empty()) {
    const Bytes piece = plain.substr(0, piece_bytes_max);
    std::size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(session_.get(), piece.data(), piece.size(), &written) != 1) return;
    take_records();
    plain.remove_prefix(piece.size());
  }
}

void TlsStream::take_records() {
  BIO* const out = SSL_get_wbio(session_.get());
  const std::size_t held = output_.size();
  const std::size_t more = BIO_ctrl_pending(out);
  output_.resize(held + more);
  if (more > 0) BIO_read(out, output_.data() + held, static_cast<int>(more));
}

void TlsStream::close() {
  ERR_clear_error();
  if (shaken_) SSL_shutdown(session_.get());
}

std::string TlsStream::take_output() {
  if (session_ != nullptr) take_records();
  return std::exchange(output_, {});
}

}  // namespace dhrt
