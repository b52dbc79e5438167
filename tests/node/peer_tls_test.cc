// TLS between nodes: who is let in by it, and who is not; two streams in memory.
#include <openssl/ssl.h>

#include "node/tls_stream.h"
#include "tests/node/peer_certificates.h"

namespace dhrt {

using test::PeerAuthority;

namespace {

std::unique_ptr<TlsContext> for_peers(const TlsContext::Files& files) {
  auto context = TlsContext::load_for_peers(files);
  REQUIRE_MESSAGE(context, (context ? "" : context.error().message));
  return *std::move(context);
}

std::unique_ptr<TlsContext> for_clients(TlsContext::Files files) {
  files.client_ca.clear();
  auto context = TlsContext::load(files);
  REQUIRE(context);
  return *std::move(context);
}

// A caller and who is called, until both are silent or one has ended it.
struct Ends {
  Ends(TlsSession calls, TlsSession is_called)
      : caller(std::move(calls)), called(std::move(is_called)) {
    REQUIRE(caller.start());
    caller.send("word");
    for (std::string there = "x", back; !there.empty() || !back.empty();) {
      there = caller.take_output();
      if (called_status) called_status = called.receive(there, at_called);
      back = called.take_output();
      if (caller_status) caller_status = caller.receive(back, at_caller);
      if (!caller_status && !called_status) return;
    }
  }
  bool linked() const {
    return caller_status && called_status && caller.is_with_peer() && called.is_with_peer() &&
           at_called == "word";
  }
  std::string reason() const {
    return (caller_status ? "" : "caller: " + caller_status.error().message + " ") +
           (called_status ? "" : "called: " + called_status.error().message);
  }

  TlsStream caller;
  TlsStream called;
  Status caller_status;
  Status called_status;
  std::string at_caller;
  std::string at_called;
};

bool contains(const std::string& text, Bytes part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("peer tls: nodes whose certificates one CA signed link, whatever their names are") {
  const PeerAuthority authority;
  const auto one = for_peers(authority.sign("one"));
  const auto two = for_peers(authority.sign("two"));
  const auto clients = for_clients(authority.sign("clients"));
  CHECK(Ends(one->connect_peer(), TlsContext::accept(nullptr, two.get())).linked());
  CHECK(Ends(one->connect_peer(), TlsContext::accept(clients.get(), two.get())).linked());
  CHECK(Ends(one->connect_peer(), TlsContext::accept(clients.get(), one.get())).linked());
}

TEST_CASE("peer tls: a certificate of another CA, or one that has expired, links with nobody") {
  const PeerAuthority ours;
  const PeerAuthority theirs;
  const auto good = for_peers(ours.sign("good"));
  TlsContext::Files stranger = theirs.sign("stranger");
  struct Case {
    const char* why;
    TlsContext::Files files;
    const char* reason;
  };
  TlsContext::Files pretends = stranger;
  pretends.client_ca = ours.ca();  // It would take us.
  for (const Case& c : {Case{"another CA, both ways", stranger, "certificate is not good"},
                        Case{"another CA's certificate", pretends, "certificate is not good"},
                        Case{"expired", ours.sign("expired", -1), "has expired"}}) {
    CAPTURE(c.why);
    const auto bad = for_peers(c.files);
    const Ends called(bad->connect_peer(), TlsContext::accept(nullptr, good.get()));
    CHECK_FALSE(called.linked());
    CHECK(contains(called.reason(), c.reason));
    CHECK(called.at_called == "");
    const Ends calls(good->connect_peer(), TlsContext::accept(nullptr, bad.get()));
    CHECK_FALSE(calls.linked());
    CHECK(contains(calls.reason(), c.reason));
    CHECK(calls.at_called == "");
  }
}

TEST_CASE("peer tls: a node without a certificate, or one that asks for none, links with nobody") {
  const PeerAuthority authority;
  const auto node = for_peers(authority.sign("node"));
  // A client that says it is a node: it trusts the CA, and has no certificate.
  const auto trusting = TlsContext::trusting(authority.ca());
  REQUIRE(trusting);
  TlsSession session = (*trusting)->connect("localhost");
  REQUIRE(SSL_set_alpn_protos(session.get(),
                              reinterpret_cast<const unsigned char*>("\x09"
                                                                     "dhrt-peer"),
                              10) == 0);
  SSL_set_verify(session.get(), SSL_VERIFY_NONE, nullptr);
  const Ends without(std::move(session), TlsContext::accept(nullptr, node.get()));
  CHECK_FALSE(without.linked());
  CHECK_FALSE(without.called.is_with_peer());
  CHECK(contains(without.reason(), "did not return a certificate"));
  CHECK(without.at_called == "");
}

TEST_CASE("peer tls: a node that speaks TLS with clients only is no peer, and told so") {
  const PeerAuthority authority;
  const auto node = for_peers(authority.sign("node"));
  const auto clients = for_clients(authority.sign("clients"));
  const Ends ends(node->connect_peer(), TlsContext::accept(clients.get(), nullptr));
  CHECK_FALSE(ends.linked());
  CHECK(ends.called.is_for_peer());
  CHECK(contains(ends.reason(), "no application protocol"));
  CHECK(ends.at_called == "");
}

TEST_CASE("peer tls: clients are served by their own certificate, and asked for none") {
  const PeerAuthority ours;
  const PeerAuthority theirs;
  const auto peers = for_peers(ours.sign("node"));
  TlsContext::Files files;
  const auto clients = for_clients(files = theirs.sign("clients"));
  const auto trusting = TlsContext::trusting(theirs.ca());
  REQUIRE(trusting);
  const auto connect = [&] {
    TlsSession session = (*trusting)->connect("localhost");
    SSL_set1_host(session.get(), nullptr);  // The certificate has no names.
    return session;
  };
  const Ends ends(connect(), TlsContext::accept(clients.get(), peers.get()));
  CHECK(ends.reason() == "");
  CHECK(ends.at_called == "word");
  CHECK_FALSE(ends.called.is_for_peer());
  CHECK_FALSE(ends.called.is_with_peer());
  // Where there is TLS for nodes only, clients get an alert.
  const Ends refused(connect(), TlsContext::accept(nullptr, peers.get()));
  CHECK(contains(refused.reason(), "called: "));
  CHECK(refused.at_called == "");
  CHECK_FALSE(refused.called.is_for_peer());
}

TEST_CASE("peer tls: links speak TLS 1.3 only") {
  const PeerAuthority authority;
  const auto node = for_peers(authority.sign("node"));
  const auto clients = for_clients(authority.sign("clients"));
  TlsSession old = node->connect_peer();
  SSL_set_min_proto_version(old.get(), TLS1_2_VERSION);
  SSL_set_max_proto_version(old.get(), TLS1_2_VERSION);
  const Ends ends(std::move(old), TlsContext::accept(clients.get(), node.get()));
  CHECK_FALSE(ends.linked());
  CHECK(ends.at_called == "");
}

TEST_CASE("peer tls: without a CA everybody would be a node, so it is asked for") {
  const PeerAuthority authority;
  TlsContext::Files files = authority.sign("node");
  files.client_ca.clear();
  const auto context = TlsContext::load_for_peers(files);
  REQUIRE_FALSE(context);
  CHECK(contains(context.error().message, "--peer-tls-ca"));
  files.client_ca = files.key;
  const auto none = TlsContext::load_for_peers(files);
  REQUIRE_FALSE(none);
  CHECK(contains(none.error().message, "--peer-tls-ca"));
  files.certificate = "/nonexistent";
  CHECK(contains(TlsContext::load_for_peers(files).error().message, "--peer-tls-cert"));
}

}  // namespace dhrt
