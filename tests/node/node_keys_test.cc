// Nodes with cluster keys and certificates: who comes together, and what the others are told.
#include "node/peer_handshake.h"
#include "protocol/json.h"
#include "tests/node/node_fixture.h"
#include "tests/node/peer_certificates.h"

namespace dhrt {

using test::PeerAuthority;
using test::TemporaryFolder;

namespace {

using Flags = std::vector<std::string>;

// Of who is refused: long enough for a busy machine to see why.
const std::string patience = std::to_string(4 * slowness) + "s";
// Of who comes in at once, however busy the machine is.
const std::string long_enough = "5m";
const std::string one(64, '1');
const std::string two(64, '2');

Flags with_key(const std::string& file) {
  return {"--cluster-key-file", file};
}

Flags with_certificate(const TlsContext::Files& files) {
  return {"--peer-tls", "--peer-tls-cert", files.certificate, "--peer-tls-key",
          files.key,    "--peer-tls-ca",   files.client_ca};
}

std::int64_t refused(TestClient& client) {
  const auto stats = json::Document::parse(client.bulk("stats"));
  REQUIRE(stats);
  return stats->root().member("peers_refused_total")->integer().value_or(-1);
}

// Waits for a figure that only grows.
bool comes_to_refuse(TestClient& client) {
  const auto end = monotonic_now() + std::chrono::milliseconds(TestClient::patience_milliseconds);
  while (refused(client) == 0 && monotonic_now() < end) {
  }
  return refused(client) > 0;
}

// What was written on one node, under k, comes to be here.
void check_has(TestClient& client) {
  CHECK(ask_until(client, "get k", "$1") == "$1\r\n");
  CHECK(client.receive(3) == "v\r\n");
}

// A node that stands alone, and one that wants to join it.
struct Meeting {
  Meeting(const Flags& flags, Flags joiners, const std::string& join_timeout)
      : first(node_options(directory.path() + "/a", flags)) {
    REQUIRE(first.error() == "");
    joiners.insert(joiners.end(), {"--join-timeout", join_timeout});
    second.emplace(join_options(directory.path() + "/b", first.address(), joiners));
    REQUIRE(second->error() == "");
  }
  void check_linked() {
    TestClient there(first.port());
    TestClient here(second->port());
    CHECK(ask_until(here, "set k v", "+OK") == "+OK\r\n");
    check_has(there);
    CHECK(refused(there) == 0);
    CHECK(refused(here) == 0);
  }
  // Both know of it, the second one ends with the code for it, and the first one goes on.
  void check_refused() {
    TestClient there(first.port());
    CHECK(comes_to_refuse(there));
    CHECK(second->wait() == exit_code::auth);
    CHECK(there.line("set k v") == "+OK\r\n");
    CHECK(there.bulk("nodes").find("\"b\"") == std::string::npos);
  }

  const TemporaryDirectory directory;
  RunningNode first;
  std::optional<RunningNode> second;
};

}  // namespace

NODE_TEST_CASE("node keys: nodes with one key are one cluster") {
  const TemporaryFolder folder;
  const Flags flags = with_key(folder.write("key", one + "\n"));
  Meeting(flags, flags, long_enough).check_linked();
}

NODE_TEST_CASE(
    "node keys: a node with another key, or with none, is refused, and so is the reverse") {
  const TemporaryFolder folder;
  const Flags ours = with_key(folder.write("one", one));
  const Flags theirs = with_key(folder.write("two", two));
  Meeting(ours, theirs, patience).check_refused();
  Meeting(ours, {}, patience).check_refused();
  Meeting({}, ours, patience).check_refused();
}

NODE_TEST_CASE("node keys: a second key is taken, too, and reload makes it so") {
  const TemporaryFolder folder;
  const std::string file = folder.write("one", one);
  const Flags theirs = with_key(folder.write("two", two));
  const TemporaryDirectory directory;
  const RunningNode first(node_options(directory.path() + "/a", with_key(file)));
  REQUIRE(first.error() == "");
  TestClient there(first.port());
  const RunningNode second(join_options(directory.path() + "/b", first.address(), theirs));
  REQUIRE(second.error() == "");
  CHECK(comes_to_refuse(there));
  folder.write("one", "too short");
  CHECK(there.line("reload").starts_with("-ERR --cluster-key-file"));
  folder.write("one", one + "\n" + two);
  CHECK(there.line("reload") == "+OK\r\n");
  TestClient here(second.port());
  CHECK(ask_until(here, "set k v", "+OK") == "+OK\r\n");
  check_has(there);
}

NODE_TEST_CASE("node keys: a link whose key is taken away ends, and no other") {
  const TemporaryFolder folder;
  const std::string file = folder.write("key", one + "\n" + two);
  const TemporaryDirectory directory;
  Flags flags = with_key(file);
  flags.insert(flags.end(), {"--handshake-timeout", "1h"});  // It is not that which ends them.
  const RunningNode node(node_options(directory.path(), flags));
  REQUIRE(node.error() == "");
  const auto link_by = [&](const std::string& secret, TestClient& client) {
    const auto keys = ClusterKeys::of({secret});
    PeerHandshake handshake(*keys, LinkClass::control, true);
    client.send(std::string("\0dhrt\1\0", 7) + handshake.begin());
    FrameReader reader;
    reader.feed(client.receive(frame_head_bytes + link_proof_bytes + 2 + link_nonce_bytes +
                               frame_mac_bytes));
    const auto frame = reader.next();
    REQUIRE((frame && *frame));
    const auto step = handshake.take(**frame);
    REQUIRE((step && step->done));
    client.send(step->say);
  };
  TestClient by_one(node.port());
  TestClient by_two(node.port());
  link_by(one, by_one);
  link_by(two, by_two);
  TestClient client(node.port());
  folder.write("key", two);
  CHECK(client.line("reload") == "+OK\r\n");
  CHECK(by_one.closed());
  CHECK_FALSE(by_two.anything_within(100));
}

NODE_TEST_CASE("node keys: without a key there is nothing to reload, and no harm in it") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.line("reload") == "+OK\r\n");
}

TEST_CASE("node keys: a key that is none, or a certificate without its CA, is no start") {
  const TemporaryFolder folder;
  const TemporaryDirectory directory;
  const auto error_with = [&](const Flags& flags) {
    return RunningNode(node_options(directory.path(), flags)).error();
  };
  CHECK(error_with(with_key(folder.write("short", "short"))).find("5 bytes") != std::string::npos);
  CHECK(error_with(with_key("/nonexistent")).find("cannot be read") != std::string::npos);
  CHECK(error_with(with_certificate({.certificate = "/nonexistent",
                                     .key = "/nonexistent",
                                     .client_ca = "/nonexistent"}))
            .find("--peer-tls-cert /nonexistent") != std::string::npos);
}

NODE_TEST_CASE("node keys: nodes whose certificates one CA signed are one cluster, encrypted") {
  const PeerAuthority authority;
  Meeting(with_certificate(authority.sign("a")), with_certificate(authority.sign("b")), long_enough)
      .check_linked();
}

NODE_TEST_CASE("node keys: certificates and a key go together") {
  const PeerAuthority authority;
  const TemporaryFolder folder;
  const std::string key = folder.write("key", one);
  Flags flags = with_certificate(authority.sign("a"));
  flags.insert(flags.end(), {"--cluster-key-file", key});
  Meeting(flags, flags, long_enough).check_linked();
  Meeting(flags, with_certificate(authority.sign("b")), patience).check_refused();
}

NODE_TEST_CASE("node keys: a large value crosses an encrypted link, both ways") {
  const PeerAuthority authority;
  Meeting meeting(with_certificate(authority.sign("a")), with_certificate(authority.sign("b")),
                  long_enough);
  TestClient there(meeting.first.port());
  TestClient here(meeting.second->port());
  CHECK(ask_until(here, "set k v", "+OK") == "+OK\r\n");
  const std::string large(5 << 20, 'v');
  CHECK(there.line("set there " + large) == "+OK\r\n");
  CHECK(here.line("set here " + large) == "+OK\r\n");
  check_has(here);
  for (TestClient* client : {&there, &here}) {
    for (const std::string key : {"there", "here"}) {
      // Who joins is not asked for what is under way.
      CHECK(ask_until(*client, "has " + key, ":1") == ":1\r\n");
      CHECK((client->bulk("get " + key) == large));
    }
  }
}

NODE_TEST_CASE("node keys: a node with a wrong, an expired or no certificate is refused") {
  const PeerAuthority ours;
  const PeerAuthority theirs;
  const Flags good = with_certificate(ours.sign("good"));
  Meeting(good, with_certificate(theirs.sign("stranger")), patience).check_refused();
  Meeting(good, with_certificate(ours.sign("expired", -1)), patience).check_refused();
  Meeting(good, {}, patience).check_refused();
}

NODE_TEST_CASE("node keys: a node that wants certificates links with none that shows nothing") {
  const PeerAuthority authority;
  const Flags flags = with_certificate(authority.sign("good"));
  const TemporaryDirectory directory;
  const RunningNode plain(node_options(directory.path() + "/a"));
  REQUIRE(plain.error() == "");
  Flags joiners = flags;
  joiners.insert(joiners.end(), {"--join-timeout", patience});
  RunningNode node(join_options(directory.path() + "/b", plain.address(), joiners));
  CHECK(node.wait() == exit_code::auth);
  // One that speaks TLS with clients says so, and that it is not for nodes.
  const TlsContext::Files files = authority.sign("clients");
  const RunningNode clients(node_options(
      directory.path() + "/c", {"--tls-cert", files.certificate, "--tls-key", files.key}));
  REQUIRE(clients.error() == "");
  RunningNode other(join_options(directory.path() + "/d", clients.address(), joiners));
  CHECK(other.wait() == exit_code::auth);
  TestClient client(clients.port());
  CHECK(refused(client) > 0);
}

NODE_TEST_CASE("node keys: certificates that are replaced hold for the next link") {
  const PeerAuthority ours;
  const PeerAuthority theirs;
  const TlsContext::Files files = theirs.sign("node");
  const TlsContext::Files good = ours.sign("good");
  const TemporaryDirectory directory;
  const RunningNode first(node_options(directory.path() + "/a", with_certificate(good)));
  REQUIRE(first.error() == "");
  const RunningNode second(
      join_options(directory.path() + "/b", first.address(), with_certificate(files)));
  REQUIRE(second.error() == "");
  TestClient there(first.port());
  CHECK(comes_to_refuse(there));
  const TlsContext::Files fresh = ours.sign("fresh");
  const auto replace = [](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to + ".new");
    std::filesystem::rename(to + ".new", to);
  };
  replace(fresh.key, files.key);
  replace(fresh.certificate, files.certificate);
  replace(fresh.client_ca, files.client_ca);
  TestClient here(second.port());
  CHECK(ask_until(here, "set k v", "+OK") == "+OK\r\n");
}

NODE_TEST_CASE("node keys: strangers that call and say nothing are bounded, and disturb nobody") {
  const TemporaryFolder folder;
  const Flags flags = with_key(folder.write("key", one));
  const TemporaryDirectory directory;
  const RunningNode first(node_options(directory.path() + "/a", flags));
  REQUIRE(first.error() == "");
  std::vector<TestClient> strangers;
  const std::string preface("\0dhrt\1\0", 7);
  for (std::size_t i = 0; i < ClusterDriver::strangers_max + 20; ++i) {
    strangers.emplace_back(first.port());
    strangers.back().send(preface);
  }
  // The first ones have to go for the last ones.
  TestClient there(first.port());
  CHECK(comes_to_refuse(there));
  const RunningNode second(join_options(directory.path() + "/b", first.address(), flags));
  REQUIRE(second.error() == "");
  TestClient here(second.port());
  CHECK(ask_until(here, "set k v", "+OK") == "+OK\r\n");
  check_has(there);
}

}  // namespace dhrt
