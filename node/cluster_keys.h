// The keys that the nodes of a cluster have in common, read from files.
//
// A node has none, one or two: the first is shown to peers, each is taken from them, so that a key
// can be changed while the nodes run (README.md has the steps). A file has one key or two, each in
// a line; blank lines and those that begin with '#' are skipped. A file that is no text is one key
// as it is. A key has at least 32 bytes.
//
// Primitives are OpenSSL's: HMAC-SHA-256 (RFC 2104), HKDF (RFC 5869), AES-256-GMAC (NIST SP
// 800-38D). Keys are never written down; what stands for one in the log is its name, the beginning
// of a hash. Errors: invalid_argument with the file, and what to do. Threads: a key any; else one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/peer_frame.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

inline constexpr std::size_t cluster_key_bytes_min = 32;
inline constexpr std::size_t cluster_key_bytes_max = 1024;
inline constexpr std::size_t cluster_keys_max = 2;

class ClusterKey {
 public:
  explicit ClusterKey(std::string secret);
  ClusterKey(const ClusterKey&) = delete;
  ClusterKey& operator=(const ClusterKey&) = delete;
  ~ClusterKey();  // Nothing of it stays in memory.

  // Equal for equal keys, on every node.
  const std::string& name() const { return name_; }
  bool same_as(const ClusterKey& other) const { return secret_ == other.secret_; }
  // 32 bytes over a label and what follows it. Nobody finds the key by them.
  std::string hmac(Bytes label, Bytes bytes) const;
  // `count` bytes that who has the key, and nobody else, gets from the same arguments.
  std::string derive(Bytes salt, Bytes info, std::size_t count) const;

 private:
  std::string secret_;
  std::string name_;
};

class ClusterKeys {
 public:
  using Key = std::shared_ptr<const ClusterKey>;  // Links under way keep one that is replaced.

  // None.
  ClusterKeys() = default;
  static Result<ClusterKeys> load(std::vector<std::string> files);
  // What files would hold; at least one.
  static Result<ClusterKeys> of(const std::vector<std::string>& secrets);

  bool none() const { return keys_.empty(); }
  // To show to peers; there is one.
  const Key& first() const { return keys_.front(); }
  const std::vector<Key>& all() const { return keys_; }
  bool have(const ClusterKey& key) const;
  // Names, the first one first.
  std::string names() const;
  // Reads the files again; after an error the earlier keys hold.
  Status read_again();
  // Files that everybody on this machine may read.
  const std::vector<std::string>& exposed_files() const { return exposed_files_; }

 private:
  Status add(std::string secret, const std::string& where);
  Status add_from(const std::string& file);

  std::vector<std::string> files_;
  std::vector<std::string> exposed_files_;
  std::vector<Key> keys_;
};

// Bytes that nobody can foresee. Absent: the system gives none.
Result<std::string> unforeseen_bytes(std::size_t count);

// In a time that does not depend on what differs; of different lengths they are not equal.
bool equal_in_constant_time(Bytes one, Bytes other);

// AES-256-GMAC: the number of a frame is its nonce, so that a key, of 32 bytes, is for one
// direction of one link. Twice to five times as fast as HMAC-SHA-256 (node/README.md).
std::unique_ptr<FrameSeal> make_frame_seal(Bytes key);

}  // namespace dhrt
