#include "node/cluster_keys.h"

#include <algorithm>
#include <array>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <utility>

#include "node/read_file.h"
#include "storage/base/check.h"

namespace dhrt {

namespace {

constexpr std::size_t seal_key_bytes = 32;
constexpr std::size_t seal_nonce_bytes = 12;
constexpr std::size_t hash_bytes = 32;
constexpr std::size_t name_bytes = 4;

const unsigned char* raw(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

std::string hex(Bytes bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

bool is_text(Bytes bytes) {
  return std::ranges::all_of(bytes, [](unsigned char c) {
    return (c >= ' ' && c < 0x7f) || c == '\t' || c == '\r' || c == '\n';
  });
}

Bytes trimmed(Bytes line) {
  while (!line.empty() && Bytes(" \t\r").find(line.back()) != Bytes::npos)
    line.remove_suffix(1);
  while (!line.empty() && Bytes(" \t").find(line.front()) != Bytes::npos)
    line.remove_prefix(1);
  return line;
}

std::vector<std::string> secrets_in(Bytes text) {
  if (!is_text(text)) return {std::string(text)};
  std::vector<std::string> secrets;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const Bytes line = trimmed(text.substr(0, end));
    if (!line.empty() && line.front() != '#') secrets.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return secrets;
}

tl::unexpected<Error> refuse(const std::string& where, const std::string& why) {
  return fail(ErrorCode::invalid_argument, where + ": " + why);
}

// GCM with nothing to encrypt is GMAC. One context for all frames: its key is expanded once.
class GmacSeal final : public FrameSeal {
 public:
  explicit GmacSeal(Bytes key) : context_(EVP_CIPHER_CTX_new()) {
    check(key.size() == seal_key_bytes, "a seal has a key of 32 bytes");
    check(context_ != nullptr &&
              EVP_EncryptInit_ex(context_, EVP_aes_256_gcm(), nullptr, raw(key), nullptr) == 1,
          "OpenSSL has AES-256-GCM");
  }
  GmacSeal(const GmacSeal&) = delete;
  GmacSeal& operator=(const GmacSeal&) = delete;
  ~GmacSeal() override { EVP_CIPHER_CTX_free(context_); }

  Mac mac(std::uint64_t sequence, Bytes frame) override {
    std::array<unsigned char, seal_nonce_bytes> nonce{};
    for (std::size_t i = 0; i < sizeof(sequence); ++i)
      nonce[nonce.size() - 1 - i] = static_cast<unsigned char>(sequence >> (8 * i));
    Mac mac{};
    int ignored = 0;
    bool good = EVP_EncryptInit_ex(context_, nullptr, nullptr, nullptr, nonce.data()) == 1;
    for (Bytes rest = frame; good && !rest.empty();) {
      const Bytes piece = rest.substr(0, piece_bytes_max);
      good = EVP_EncryptUpdate(context_, nullptr, &ignored, raw(piece),
                               static_cast<int>(piece.size())) == 1;
      rest.remove_prefix(piece.size());
    }
    good = good && EVP_EncryptFinal_ex(context_, nullptr, &ignored) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(mac.size()),
                               mac.data()) == 1;
    check(good, "a frame can be sealed");
    return mac;
  }
  bool matches(std::uint64_t sequence, Bytes frame, Bytes given) override {
    const Mac expected = mac(sequence, frame);
    return equal_in_constant_time({expected.data(), expected.size()}, given);
  }

 private:
  // OpenSSL counts in int.
  static constexpr std::size_t piece_bytes_max = std::size_t{1} << 30;
  EVP_CIPHER_CTX* context_;
};

}  // namespace

// --- One key --------------------------------------------------------------------------------

ClusterKey::ClusterKey(std::string secret)
    : secret_(std::move(secret)), name_(hex(hmac("dhrt key name", {}).substr(0, name_bytes))) {}

ClusterKey::~ClusterKey() {
  OPENSSL_cleanse(secret_.data(), secret_.size());
}

std::string ClusterKey::hmac(Bytes label, Bytes bytes) const {
  // The label has no byte 0 in it, so that no two pairs give the same text.
  const std::string text = std::string(label) + '\0' + std::string(bytes);
  std::string out(hash_bytes, '\0');
  unsigned count = 0;
  check(HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), raw(Bytes(text)),
             text.size(), raw(out), &count) != nullptr &&
            count == hash_bytes,
        "OpenSSL has HMAC-SHA-256");
  return out;
}

std::string ClusterKey::derive(Bytes salt, Bytes info, std::size_t count) const {
  std::string out(count, '\0');
  std::size_t got = count;
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr);
  const bool good =
      context != nullptr && EVP_PKEY_derive_init(context) == 1 &&
      EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1 &&
      EVP_PKEY_CTX_set1_hkdf_salt(context, raw(salt), static_cast<int>(salt.size())) == 1 &&
      EVP_PKEY_CTX_set1_hkdf_key(context, raw(Bytes(secret_)), static_cast<int>(secret_.size())) ==
          1 &&
      EVP_PKEY_CTX_add1_hkdf_info(context, raw(info), static_cast<int>(info.size())) == 1 &&
      EVP_PKEY_derive(context, raw(out), &got) == 1 && got == count;
  EVP_PKEY_CTX_free(context);
  check(good, "OpenSSL has HKDF");
  return out;
}

// --- All of a node --------------------------------------------------------------------------

Result<ClusterKeys> ClusterKeys::load(std::vector<std::string> files) {
  ClusterKeys keys;
  keys.files_ = std::move(files);
  if (Status status = keys.read_again(); !status) return tl::unexpected(status.error());
  return keys;
}

Result<ClusterKeys> ClusterKeys::of(const std::vector<std::string>& secrets) {
  ClusterKeys keys;
  for (const std::string& secret : secrets) {
    if (Status status = keys.add(secret, "a cluster key"); !status)
      return tl::unexpected(status.error());
  }
  return keys;
}

Status ClusterKeys::read_again() {
  ClusterKeys fresh;
  for (const std::string& file : files_) {
    if (Status status = fresh.add_from(file); !status) return status;
  }
  keys_ = std::move(fresh.keys_);
  exposed_files_ = std::move(fresh.exposed_files_);
  return {};
}

bool ClusterKeys::have(const ClusterKey& key) const {
  return std::ranges::any_of(keys_, [&](const Key& one) { return one->same_as(key); });
}

std::string ClusterKeys::names() const {
  std::string names;
  for (const Key& key : keys_)
    names += (names.empty() ? "" : ",") + key->name();
  return names;
}

Status ClusterKeys::add(std::string secret, const std::string& where) {
  if (secret.size() < cluster_key_bytes_min || secret.size() > cluster_key_bytes_max)
    return refuse(where, "a key of " + std::to_string(secret.size()) + " bytes; a key has " +
                             std::to_string(cluster_key_bytes_min) + " to " +
                             std::to_string(cluster_key_bytes_max) +
                             ", and openssl rand -hex 32 makes one");
  auto key = std::make_shared<const ClusterKey>(std::move(secret));
  if (have(*key)) return refuse(where, "the same key is there twice");
  if (keys_.size() == cluster_keys_max)
    return refuse(where, "a third key; a node has one, and a second one while keys are changed");
  keys_.push_back(std::move(key));
  return {};
}

Status ClusterKeys::add_from(const std::string& file) {
  const std::string where = "--cluster-key-file " + file;
  struct stat found {};
  if (::stat(file.c_str(), &found) == 0) {
    // A pipe would make its reader wait.
    if (S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode))
      return refuse(where, "it is no regular file; name one");
    if ((found.st_mode & S_IRWXO) != 0) exposed_files_.push_back(file);
  }
  auto text = read_file(file);
  if (!text) return refuse(where, text.error().message);
  std::vector<std::string> secrets = secrets_in(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (secrets.empty())
    return refuse(where, "there is no key in it; openssl rand -hex 32 makes one");
  for (std::string& secret : secrets) {
    if (Status status = add(std::move(secret), where); !status) return status;
  }
  return {};
}

// --- What links need ------------------------------------------------------------------------

Result<std::string> unforeseen_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(raw(bytes), static_cast<int>(count)) != 1)
    return fail(ErrorCode::unavailable, "the system gives no random bytes");
  return bytes;
}

bool equal_in_constant_time(Bytes one, Bytes other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

std::unique_ptr<FrameSeal> make_frame_seal(Bytes key) {
  return std::make_unique<GmacSeal>(key);
}

}  // namespace dhrt
