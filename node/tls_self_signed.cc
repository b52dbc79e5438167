#include "node/tls_self_signed.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "node/address.h"
#include "node/read_file.h"
#include "node/replace_file.h"
#include "node/tls_context.h"

namespace dhrt {

namespace {

constexpr int days_valid = 365;
constexpr int days_before_end = 30;  // It is made anew then.
// Clocks of clients may be behind.
constexpr int days_early = 1;
constexpr int seconds_per_day = 86400;
constexpr std::size_t host_bytes_max = 253;  // RFC 1035, section 2.3.4, without the last dot.

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(ASN1_OCTET_STRING* string) const { ASN1_OCTET_STRING_free(string); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::time_t seconds_of(WallMilliseconds now) {
  return static_cast<std::time_t>(now / 1000);
}

// Letters, digits, '-', '_' and dots between them: what stands in a certificate as it is.
bool is_host_name(const std::string& name) {
  return !name.empty() && name.size() <= host_bytes_max && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

std::vector<std::string> all_names(std::vector<std::string> names) {
  names.insert(names.begin(), {"localhost", "127.0.0.1", "::1"});
  std::vector<std::string> all;
  for (std::string& name : names) {
    name.resize(std::min(name.find('%'), name.size()));  // Certificates know no interfaces.
    const bool is_new = std::ranges::find(all, name) == all.end();
    if (is_new && (is_ip_address(name) || is_host_name(name))) all.push_back(std::move(name));
  }
  return all;
}

// --- What is there --------------------------------------------------------------------------

template <typename T, typename Read>
Owned<T> read_pem(const std::string& path, Read read) {
  const auto text = read_file(path);
  if (!text) return nullptr;
  const Owned<BIO> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  // No passphrase: OpenSSL would ask for one at the terminal.
  Owned<T> found(bio ? read(bio.get()) : nullptr);
  if (!found) tls_error();
  return found;
}

Owned<X509> read_certificate(const std::string& path) {
  return read_pem<X509>(path,
                        [](BIO* bio) { return PEM_read_bio_X509(bio, nullptr, nullptr, nullptr); });
}

Owned<EVP_PKEY> read_key(const std::string& path) {
  return read_pem<EVP_PKEY>(path, [](BIO* bio) {
    return PEM_read_bio_PrivateKey(
        bio, nullptr, [](char*, int, int, void*) { return -1; }, nullptr);
  });
}

bool is_for(X509* certificate, const std::string& name) {
  if (is_ip_address(name)) return X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  return X509_check_host(certificate, name.data(), name.size(), 0, nullptr) == 1;
}

bool still_serves(X509* certificate, EVP_PKEY* key, const std::vector<std::string>& names,
                  WallMilliseconds now) {
  if (certificate == nullptr || key == nullptr) return false;
  std::time_t begin = seconds_of(now);
  std::time_t end = begin + std::time_t{days_before_end} * seconds_per_day;
  const bool fits = X509_check_private_key(certificate, key) == 1;
  tls_error();
  return fits && X509_cmp_time(X509_get0_notBefore(certificate), &begin) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate), &end) > 0 &&
         std::ranges::all_of(names, [&](const auto& name) { return is_for(certificate, name); });
}

// --- A new one ------------------------------------------------------------------------------

bool add_text(X509* certificate, int kind, const char* text) {
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, text));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_names(X509* certificate, const std::vector<std::string>& names) {
  const Owned<GENERAL_NAMES> all(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    const int kind = is_ip_address(name) ? GEN_IPADD : GEN_DNS;
    // Not from a text with commas, where a name could bring others.
    GENERAL_NAME* const added =
        all ? a2i_GENERAL_NAME(nullptr, nullptr, nullptr, kind, name.c_str(), 0) : nullptr;
    if (added == nullptr) return false;
    if (sk_GENERAL_NAME_push(all.get(), added) == 0) {
      GENERAL_NAME_free(added);
      return false;
    }
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, 0) == 1;
}

bool add_key_identifier(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  if (X509_pubkey_digest(certificate, EVP_sha256(), digest.data(), &bytes) != 1) return false;
  const Owned<ASN1_OCTET_STRING> identifier(ASN1_OCTET_STRING_new());
  return identifier &&
         ASN1_OCTET_STRING_set(identifier.get(), digest.data(), static_cast<int>(bytes)) == 1 &&
         X509_add1_ext_i2d(certificate, NID_subject_key_identifier, identifier.get(), 0, 0) == 1;
}

// RFC 5280, section 4.1.2.2: positive, and one that nobody else has.
bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);
  ASN1_INTEGER* const serial = X509_get_serialNumber(certificate);
  return ASN1_STRING_set(serial, bytes.data(), static_cast<int>(bytes.size())) == 1;
}

// Like the serial number, so that files of several nodes may be joined to one.
bool set_subject(X509* certificate) {
  std::array<unsigned char, 8> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "dhrt, signed by itself, ";
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  X509_NAME* const name = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1;
}

bool set_times(X509* certificate, WallMilliseconds now) {
  std::time_t seconds = seconds_of(now);
  return X509_time_adj_ex(X509_getm_notBefore(certificate), -days_early, 0, &seconds) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), days_valid, 0, &seconds) != nullptr;
}

// No authority: whoever gets hold of the key can be this node, but certify no other.
Owned<X509> make_certificate(EVP_PKEY* key, const std::vector<std::string>& names,
                             WallMilliseconds now) {
  Owned<X509> certificate(X509_new());
  X509* const raw = certificate.get();
  const bool made = raw != nullptr && key != nullptr &&
                    X509_set_version(raw, X509_VERSION_3) == 1 && set_serial(raw) &&
                    set_subject(raw) && set_times(raw, now) && X509_set_pubkey(raw, key) == 1 &&
                    add_text(raw, NID_basic_constraints, "critical,CA:FALSE") &&
                    add_text(raw, NID_key_usage, "critical,digitalSignature") &&
                    add_text(raw, NID_ext_key_usage, "serverAuth") && add_key_identifier(raw) &&
                    add_names(raw, names) && X509_sign(raw, key, EVP_sha256()) > 0;
  if (!made) certificate.reset();
  return certificate;
}

// Empty: OpenSSL failed.
template <typename Write>
std::string to_pem(Write write) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return {};
  std::string text(BIO_ctrl_pending(bio.get()), '\0');
  const int read = BIO_read(bio.get(), text.data(), static_cast<int>(text.size()));
  text.resize(static_cast<std::size_t>(std::max(read, 0)));
  return text;
}

Result<Owned<X509>> make_files(const SelfSigned& files, const std::vector<std::string>& names,
                               WallMilliseconds now) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  Owned<X509> certificate = make_certificate(key.get(), names, now);
  const std::string key_text = to_pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  const std::string text =
      to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  if (!certificate || key_text.empty() || text.empty())
    return fail(ErrorCode::io, "--tls-self-signed: no certificate can be made: " + tls_error());
  constexpr unsigned owner_only = 0600;
  constexpr unsigned readable = 0644;
  // A crash between the two leaves a pair that does not fit, which the next start replaces.
  if (auto status = replace_file(files.key, key_text, owner_only); !status)
    return tl::unexpected(status.error());
  if (auto status = replace_file(files.certificate, text, readable); !status)
    return tl::unexpected(status.error());
  return certificate;
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &bytes) != 1) return {};
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (unsigned i = 0; i < bytes; ++i) {
    if (i > 0) text += ':';
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

}  // namespace

Result<SelfSigned> keep_self_signed(const std::string& directory, std::vector<std::string> names,
                                    WallMilliseconds now) {
  SelfSigned files{.certificate = directory + "/tls.pem", .key = directory + "/tls.key"};
  names = all_names(std::move(names));
  Owned<X509> certificate = read_certificate(files.certificate);
  const Owned<EVP_PKEY> key = read_key(files.key);
  files.made_now = !still_serves(certificate.get(), key.get(), names, now);
  if (files.made_now) {
    auto made = make_files(files, names, now);
    if (!made) return tl::unexpected(made.error());
    certificate = *std::move(made);
  }
  files.fingerprint = fingerprint_of(certificate.get());
  return files;
}

}  // namespace dhrt
