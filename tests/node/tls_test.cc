// TLS between two streams in memory, and what a client can do to a node by TLS alone.
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "node/listener.h"
#include "node/stream_connection.h"
#include "node/tls_self_signed.h"
#include "node/tls_stream.h"
#include "tests/node/node_fixture.h"
#include "tests/node/temporary_folder.h"

namespace dhrt {

using test::TemporaryFolder;

namespace {

// A certificate for localhost that signs itself.
struct Certificate {
  Certificate() {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
        key + " -out " + certificate + " 2>/dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
  }
  TemporaryFolder folder;
  std::string certificate = folder.file("node.pem");
  std::string key = folder.file("node.key");
};

struct Pair {
  explicit Pair(const std::string& host = "localhost")
      : client((*TlsContext::trusting(files.certificate))->connect(host)),
        server((*TlsContext::load({files.certificate, files.key, ""}))->accept()) {
    REQUIRE(client.start());
  }
  // Hands over what each has said, so many bytes at a time, until both are silent.
  Status talk(std::size_t step) {
    for (std::string there = "x", back; !there.empty() || !back.empty();) {
      there = client.take_output();
      if (Status status = feed(server, there, step, at_server); !status) return status;
      back = server.take_output();
      if (Status status = feed(client, back, step, at_client); !status) return status;
    }
    return {};
  }
  static Status feed(TlsStream& to, Bytes bytes, std::size_t step, std::string& plain) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
      if (Status status = to.receive(bytes.substr(0, step), plain); !status) return status;
    }
    return {};
  }

  Certificate files;
  TlsStream client;
  TlsStream server;
  std::string at_server;
  std::string at_client;
};

}  // namespace

TEST_CASE("tls stream: bytes go both ways, however they are cut") {
  const std::string large(300'000, 'v');
  for (const std::size_t step : {1, 2, 3, 5, 100, 16384, 1 << 20}) {
    CAPTURE(step);
    Pair pair;
    pair.client.send("early");  // Before the handshake is done.
    CHECK(pair.client.in_handshake());
    REQUIRE(pair.talk(step));
    CHECK_FALSE(pair.client.in_handshake());
    CHECK_FALSE(pair.server.in_handshake());
    CHECK(pair.at_server == "early");
    pair.client.send(large);
    pair.server.send("reply");
    pair.server.send("");
    REQUIRE(pair.talk(step));
    CHECK(pair.at_server == "early" + large);
    CHECK(pair.at_client == "reply");
    CHECK_FALSE(pair.client.has_ended());
    pair.server.close();
    REQUIRE(pair.talk(step));
    CHECK(pair.client.has_ended());
    CHECK_FALSE(pair.server.has_ended());
  }
}

TEST_CASE("tls stream: a certificate is for its names, and an interface is no part of them") {
  for (const char* host : {"localhost", "127.0.0.1", "127.0.0.1%lo"})
    CHECK_MESSAGE(Pair(host).talk(1 << 20), host);
  for (const char* host : {"example.org", "127.0.0.2", "::1"}) {
    CAPTURE(host);
    const Status status = Pair(host).talk(1 << 20);
    REQUIRE_FALSE(status);
    CHECK(status.error().message.find("certificate") != std::string::npos);
  }
}

TEST_CASE("tls stream: what is none ends it, with a word for the other side") {
  Pair pair;
  std::string plain;
  const Status status = pair.server.receive(Bytes("\x16\x03\x01\x00\x05hello", 10), plain);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::corrupt);
  CHECK(pair.server.take_output().starts_with("\x15\x03"));
  CHECK(plain.empty());
  TlsStream without_memory(nullptr);
  CHECK_FALSE(without_memory.receive("x", plain));
  CHECK(without_memory.take_output().empty());
}

namespace {

// Sends requests for new keys, each of which is answered, and never reads.
class Asker {
 public:
  Asker(TlsContext& context, std::uint16_t port)
      : session_(context.connect("localhost")), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    // Little fits into the system's buffers, so that the node has to keep the answers soon.
    const int bytes = 4096;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    const timeval patience{TestClient::patience_milliseconds / 1000, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    SSL_set_bio(session_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    while (SSL_do_handshake(session_.get()) != 1) {
      REQUIRE(send_output());
      std::array<char, 16384> answer{};
      const ssize_t count = ::recv(socket_, answer.data(), answer.size(), 0);
      REQUIRE(count > 0);
      BIO_write(SSL_get_rbio(session_.get()), answer.data(), static_cast<int>(count));
    }
    REQUIRE(send_output());
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;
  ~Asker() { ::close(socket_); }

  // False: the connection is gone.
  bool ask(int times) {
    for (int i = 0; i < times; ++i) {
      SSL_key_update(session_.get(), SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(session_.get());
    }
    return send_output();
  }

 private:
  bool send_output() {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(session_.get())), '\0');
    if (bytes.empty()) return true;
    BIO_read(SSL_get_wbio(session_.get()), bytes.data(), static_cast<int>(bytes.size()));
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  TlsSession session_;
  int socket_;
};

}  // namespace

TEST_CASE("tls: many clients that shake hands at once share the turns, first come first served") {
  EventLoop loop;
  HandshakeQueue queue(loop);
  std::string done;
  std::vector<HandshakeQueue::Ticket> tickets;
  constexpr std::size_t each = HandshakeQueue::steps_per_turn_max;
  for (std::size_t i = 0; i < each; ++i)
    CHECK(queue.admits());
  for (std::size_t i = 0; i < 2 * each; ++i) {
    CHECK_FALSE(queue.admits());
    tickets.push_back(queue.wait(HandshakeQueue::Who::newcomer,
                                 [&done, i] { done += static_cast<char>('a' + i); }));
  }
  queue.forget(tickets[1]);
  uv_run(loop.raw(), UV_RUN_NOWAIT);
  CHECK(done == "acdefghi");
  CHECK_FALSE(queue.admits());  // Nobody overtakes who waits,
  queue.wait(HandshakeQueue::Who::under_way, [&done] { done += '1'; });
  queue.wait(HandshakeQueue::Who::under_way, [&done] { done += '2'; });
  uv_run(loop.raw(), UV_RUN_NOWAIT);
  CHECK(done == "acdefghi12jklmno");  // but who was let in before.
  uv_run(loop.raw(), UV_RUN_NOWAIT);
  CHECK(done == "acdefghi12jklmnop");
  CHECK(queue.admits());
  // Without anything to do the loop comes to rest.
  uv_run(loop.raw(), UV_RUN_DEFAULT);
  CHECK(queue.admits());
}

namespace {

// Takes clients and tells what they sent.
struct TlsServer final : StreamConnection::Handler {
  explicit TlsServer(TlsContext& context) {
    auto opened = Listener::open(
        loop, *parse_endpoint("dhrt://127.0.0.1:0"), [this, &context](auto connection) {
          connection->expect_tls({.clients = &context, .handshakes = &queue, .only = true});
          connection->set_handler(this);
          connection->start_reading();
          connections.push_back(std::move(connection));
        });
    REQUIRE(opened);
    listener = *std::move(opened);
  }
  void received(Bytes bytes) override { said += bytes; }
  void ended() override {}
  void failed(const std::string&) override {}
  void drained() override {}

  EventLoop loop;
  HandshakeQueue queue{loop};
  std::vector<std::unique_ptr<StreamConnection>> connections;
  std::unique_ptr<Listener> listener;
  std::string said;
};

}  // namespace

TEST_CASE("tls: a client whose handshake has to wait is served all the same") {
  const Certificate files;
  const auto context = TlsContext::load({files.certificate, files.key, ""});
  const auto trusting = TlsContext::trusting(files.certificate);
  REQUIRE((context && trusting));
  TlsServer server(**context);
  constexpr std::size_t count = 3 * HandshakeQueue::steps_per_turn_max;
  const std::uint16_t port = server.listener->bound().address.port;
  std::vector<std::unique_ptr<TestClient>> sockets;
  std::vector<std::unique_ptr<TlsStream>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    sockets.push_back(std::make_unique<TestClient>(port));
    clients.push_back(std::make_unique<TlsStream>((*trusting)->connect("localhost")));
    REQUIRE(clients[i]->start());
    clients[i]->send("x");
    sockets[i]->send(clients[i]->take_output());
  }
  while (server.connections.size() < count)
    uv_run(server.loop.raw(), UV_RUN_NOWAIT);
  // One that gives up while it waits takes its place in the queue along.
  server.connections.back().reset();
  server.connections.pop_back();
  constexpr int turns_max = 1'000'000;
  for (int turn = 0; server.said.size() < count - 1 && turn < turns_max; ++turn) {
    uv_run(server.loop.raw(), UV_RUN_NOWAIT);
    for (std::size_t i = 0; i < count; ++i) {
      std::string arrived;
      while (sockets[i]->anything_within(0))
        arrived += sockets[i]->receive(1);
      std::string plain;
      static_cast<void>(clients[i]->receive(arrived, plain));
      if (const std::string output = clients[i]->take_output(); !output.empty())
        sockets[i]->send(output);
    }
  }
  CHECK(server.said == std::string(count - 1, 'x'));
}

NODE_TEST_CASE("tls: who asks for keys without an end, and does not read, is cut off") {
  const Certificate files;
  const TemporaryDirectory directory;
  const RunningNode node(
      node_options(directory.path(), {"--tls-cert", files.certificate, "--tls-key", files.key}));
  REQUIRE(node.error() == "");
  const auto context = TlsContext::trusting(files.certificate);
  REQUIRE(context);
  Asker asker(**context, node.port());
  constexpr int rounds_max = 10000;
  int rounds = 0;
  while (rounds < rounds_max && asker.ask(100))
    ++rounds;
  CHECK_MESSAGE(rounds < rounds_max, "a million answers were kept for it");
  TestClient other(node.port());
  CHECK(other.line("ping") == "+PONG\r\n");
}

namespace {

constexpr WallMilliseconds day{86'400'000};

unsigned mode_of(const std::string& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 0777U;
}

// A client that trusts that file and wants this host.
Status handshake(const SelfSigned& files, const std::string& host) {
  TlsStream client((*TlsContext::trusting(files.certificate))->connect(host));
  TlsStream server((*TlsContext::load({files.certificate, files.key, ""}))->accept());
  REQUIRE(client.start());
  std::string plain;
  for (int i = 0; i < 4; ++i) {
    if (Status status = server.receive(client.take_output(), plain); !status) return status;
    if (Status status = client.receive(server.take_output(), plain); !status) return status;
  }
  CHECK_FALSE(client.in_handshake());
  return {};
}

}  // namespace

TEST_CASE("self-signed: it is for this machine, and for the names that were asked for") {
  const TemporaryFolder folder;
  const std::string directory = folder.file("");
  // A name that no certificate can have, or that would smuggle in others, is left out.
  const auto made = keep_self_signed(
      directory, {"db1.example.org", "192.0.2.7", "fe80::1%eth0", "a,DNS:evil.example", "ü", ""},
      wall_now());
  REQUIRE(made);
  CHECK(made->made_now);
  CHECK(mode_of(made->key) == 0600);
  for (const char* host :
       {"localhost", "127.0.0.1", "::1", "db1.example.org", "192.0.2.7", "fe80::1"})
    CHECK_MESSAGE(handshake(*made, host), host);
  for (const char* host : {"example.org", "192.0.2.8", "evil.example"})
    CHECK_FALSE_MESSAGE(handshake(*made, host), host);
}

TEST_CASE("self-signed: it stays as long as it serves") {
  const TemporaryFolder folder;
  const std::string directory = folder.file("");
  const WallMilliseconds now = wall_now();
  const auto first = keep_self_signed(directory, {"db1"}, now);
  REQUIRE(first);
  CHECK(first->fingerprint.size() == 32 * 3 - 1);
  const auto again = [&](std::vector<std::string> names, WallMilliseconds when) {
    const auto kept = keep_self_signed(directory, std::move(names), when);
    REQUIRE(kept);
    CHECK(kept->made_now == (kept->fingerprint != first->fingerprint));
    // One that was made in the future is not valid yet.
    if (when <= now) CHECK(handshake(*kept, "localhost"));
    return kept->made_now;
  };
  CHECK_FALSE(again({"db1"}, now));
  CHECK_FALSE(again({}, now + 300 * day));
  SUBCASE("until a month before its end") {
    CHECK(again({"db1"}, now + 336 * day));
  }
  SUBCASE("unless it begins in the future") {
    CHECK(again({"db1"}, now - 2 * day));
  }
  SUBCASE("unless it lacks a name") {
    CHECK(again({"db2"}, now));
  }
  SUBCASE("unless a file is lost") {
    std::filesystem::remove(first->key);
    CHECK(again({"db1"}, now));
  }
  SUBCASE("unless a file is damaged") {
    folder.write("tls.pem", "-----BEGIN CERTIFICATE-----\n");
    CHECK(again({"db1"}, now));
  }
  SUBCASE("unless the key is another's") {
    const TemporaryFolder other;
    const auto theirs = keep_self_signed(other.file(""), {}, now);
    REQUIRE(theirs);
    std::filesystem::rename(theirs->key, first->key);
    CHECK(again({"db1"}, now));
  }
  // What an interrupted start left, which all may read, does not become the key.
  folder.write("tls.key.new", "x");
  CHECK(again({"db3"}, now));
  CHECK(mode_of(first->key) == 0600);
}

TEST_CASE("self-signed: where it cannot be kept, the start says so") {
  const auto made = keep_self_signed("/none", {}, wall_now());
  REQUIRE_FALSE(made);
  CHECK(made.error().message.find("/none/tls.key") != std::string::npos);
  const TemporaryDirectory directory;
  NodeOptions options =
      node_options(directory.path() + "/file/data", {"--memory", "--tls-self-signed"});
  std::ofstream(directory.path() + "/file") << "no directory";
  const RunningNode node(options);
  CHECK(node.error().find("--tls-self-signed") != std::string::npos);
  CHECK(node.error().find("--data-dir") != std::string::npos);
}

}  // namespace dhrt
