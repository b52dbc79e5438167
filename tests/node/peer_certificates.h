// Certificates of nodes, and a CA that signs them, made with openssl(1).
#pragma once

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "node/tls_context.h"
#include "tests/node/temporary_folder.h"

namespace dhrt::test {

class PeerAuthority {
 public:
  PeerAuthority() {
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca "
        "-keyout " +
        folder_.file("ca.key") + " -out " + ca());
  }
  std::string ca() const { return folder_.file("ca.pem"); }
  // A certificate for no name in particular; below 0 it has expired.
  TlsContext::Files sign(const std::string& name, int days = 2) const {
    const TlsContext::Files files{.certificate = folder_.file(name + ".pem"),
                                  .key = folder_.file(name + ".key"),
                                  .client_ca = ca()};
    const std::string request = folder_.file(name + ".csr");
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
            " -keyout " + files.key + " -out " + request);
    openssl("x509 -req -in " + request + " -CA " + ca() + " -CAkey " + folder_.file("ca.key") +
            " -set_serial " + std::to_string(++serial_) + " -days " + std::to_string(days) +
            " -out " + files.certificate);
    return files;
  }

 private:
  static void openssl(const std::string& arguments) {
    REQUIRE(std::system(("openssl " + arguments + " 2>/dev/null").c_str()) == 0);
  }

  TemporaryFolder folder_;
  mutable int serial_ = 0;
};

}  // namespace dhrt::test
