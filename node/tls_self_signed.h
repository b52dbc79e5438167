// A certificate that a node makes for itself, so that TLS can be tried before there is an
// authority: whoever trusts the file trusts this node. The crypto is OpenSSL's.
//
//   <data-dir>/tls.pem   the certificate: ECDSA P-256, for a year. This is what clients trust.
//   <data-dir>/tls.key   its key, for the owner only
//
// Both are kept from start to start, until the certificate is about to expire, does not fit the
// key, or is not for a name that is wanted; then there are new ones, and clients need the new file.
//
// Errors: io, full. Threads: one at a time for a directory.
#pragma once

#include <string>
#include <vector>

#include "storage/base/result.h"
#include "storage/base/time.h"

namespace dhrt {

struct SelfSigned {
  std::string certificate;  // Paths.
  std::string key;
  std::string fingerprint;  // SHA-256 of the certificate, as "AB:CD:…", 32 bytes.
  bool made_now = false;
};

// `names`: hosts and addresses that it is for, beside localhost, 127.0.0.1 and ::1. Those that no
// certificate can name are left out.
Result<SelfSigned> keep_self_signed(const std::string& directory, std::vector<std::string> names,
                                    WallMilliseconds now);

}  // namespace dhrt
