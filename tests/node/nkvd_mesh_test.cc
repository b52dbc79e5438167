// A mesh of nkvd as one node of dhrt sees it. With real processes: tests/nemesis/test_nkvd_mesh.py.
#include "node/nkvd_mesh.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/http.h"
#include "protocol/json.h"
#include "storage/record_codec.h"
#include "tests/cluster/core_fixture.h"
#include "tests/node/lone_database.h"
#include "tests/node/scripted_server.h"

using namespace dhrt;

namespace {

// A node of nkvd, as far as others need it: it stores, lists and answers pings.
class Nkvd {
 public:
  using Records = std::map<std::string, std::string>;
  // `wrong` answers what it gives something for.
  using Wrong = std::function<std::optional<std::string>(const std::string& path)>;
  explicit Nkvd(Records records = {}, Wrong wrong = {})
      : records_(std::move(records)),
        wrong_(std::move(wrong)),
        server_([this](const std::string& line) { return answer(line); },
                test::ScriptedServer::Serves::side_by_side) {}

  Address address() const { return *parse_address(server_.address()); }
  Records records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  // How often a path with this key came.
  std::ptrdiff_t count(const std::string& path, const std::string& key = {}) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::count(requests_, path + " " + key);
  }

 private:
  std::string answer(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (line.starts_with("GET ")) target_ = line.substr(4, line.rfind(' ') - 4);
    if (line != "\r") return "";
    const std::size_t question = std::min(target_.find('?'), target_.size());
    const std::string path = target_.substr(0, question);
    Records fields;
    for (const auto& [name, value] :
         http::query_fields(Bytes(target_).substr(std::min(question + 1, target_.size()))))
      fields[name] = value;
    requests_.push_back(path + " " + fields["k"]);
    if (wrong_)
      if (const auto wrong = wrong_(path)) return *wrong;
    if (path != "/ping" && path != "/status" && path != "/getAll" && fields["noReplicate"].empty())
      return "HTTP/1.1 500 It would come back\r\nContent-Length: 0\r\n\r\n";
    std::string body = R"({"success":true})";
    if (path == "/set") records_[fields["k"]] = fields["v"];
    if (path == "/rm") records_.erase(fields["k"]);
    if (path == "/clear") records_.clear();
    if (path == "/status") body = R"({"maxKeyLength":64})";
    if (path == "/ping") body = R"({"nodes":[]})";
    if (path == "/getAll") body = list();
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  std::string list() const {
    std::string body = "[";
    for (const auto& [key, value] : records_)
      body += (body.size() > 1 ? "," : "") + std::string("{\"k\":") + json::quoted(key) +
              ",\"v\":" + json::quoted(value) + "}";
    return body + "]";
  }

  mutable std::mutex mutex_;
  Records records_;
  Wrong wrong_;
  std::string target_;  // Clients here have one connection each, and one request at a time.
  std::vector<std::string> requests_;
  test::ScriptedServer server_;
};

// A node of dhrt: its records, and its mesh on a loop of its own.
class Dhrt : public test::LoneDatabase {
 public:
  explicit Dhrt(const Core& core) : core_(core) {
    view.alone.set(true);
    view.watched.set(true);
  }
  void begin(EventLoop& loop, std::function<void(Publish)> publish) {
    mesh.emplace(
        NkvdMesh::Parts{loop, core_, **this, figures, board, options_, {"127.0.0.1", 7453}},
        NkvdMesh::Hooks{std::move(publish), [](const std::string&) {}});
    driver().observe(*mesh);
  }
  void set(Bytes key, Bytes value, std::string attributes = {}) {
    REQUIRE((*this)->set("default", key, value, {.attributes = std::move(attributes)}));
    turn();
  }
  void remove(Bytes key) {
    (*this)->remove("default", key,
                    [](const Result<Database::Removed>& removed) { REQUIRE(removed); });
    turn();
  }
  void flush() {
    REQUIRE((*this)->flush("default"));
    turn();
    mesh->cleared();
  }
  std::optional<std::string> get(Bytes key) {
    std::optional<std::string> value;
    (*this)->read("default", key, Database::ReadFrom::here,
                  [&](const Result<Database::Found>& found) {
                    REQUIRE(found);
                    if (found->record) value = found->record->value;
                  });
    return value;
  }

  NkvdBoard board;
  std::optional<NkvdMesh> mesh;

 private:
  const Core& core_;
  const NodeOptions options_;
};

// Turns until it holds, or for much too long.
template <typename Condition>
void turn_until(EventLoop& loop, Condition holds) {
  const Time began = monotonic_now();
  bool over = false;
  Timer look(loop, [&] {
    over = holds() || monotonic_now() - began > Duration{60'000};
    if (over) loop.stop();
  });
  look.every(Duration{2});
  loop.run();
  CHECK(holds());
}

std::string marked() {
  return with_attribute({}, attribute_not_for_nkvd, "");
}

// A lone node of dhrt.
struct Alone {
  Alone() : cluster(1), node(cluster.core()) {
    cluster.tick_for(std::chrono::seconds(1));
    node.begin(loop, [](const Publish&) {});
  }
  ~Alone() { node.mesh.reset(); }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
  bool is_compared(const Nkvd& nkvd) {
    // What it is sent last of a comparison, which is in the order of the keys.
    return nkvd.records().contains("~");
  }
  void join(const Nkvd& nkvd) {
    node.mesh->learn({nkvd.address()});
    node.set("~", "last");
    turn_until(loop, [&] { return is_compared(nkvd); });
  }
  // Whatever was written before is there, or never will be.
  void settle(const Nkvd& nkvd) {
    const std::string mark = "~" + std::to_string(++marks);
    node.set(mark, "1");
    turn_until(loop, [&] { return nkvd.records().contains(mark); });
  }

  test::Scripted cluster;
  EventLoop loop;
  Dhrt node;
  int marks = 0;
};

}  // namespace

TEST_CASE("nkvd mesh: what is written is sent as it is then, once, and marked records are not") {
  Nkvd nkvd;
  Alone alone;
  alone.join(nkvd);
  alone.settle(nkvd);
  for (int i = 0; i < 100; ++i)
    alone.node.set("often", std::to_string(i));
  alone.node.set("a b&c=\xE2\x9C\x93", "x%y+z");
  alone.node.set("quiet", "1", marked());
  alone.node.set("gone", "1");
  alone.node.remove("gone");
  alone.settle(nkvd);
  const auto records = nkvd.records();
  CHECK(records.at("often") == "99");
  CHECK(nkvd.count("/set", "often") == 1);
  CHECK(records.at("a b&c=\xE2\x9C\x93") == "x%y+z");
  CHECK_FALSE(records.contains("quiet"));
  CHECK_FALSE(records.contains("gone"));
  CHECK(nkvd.count("/set", "gone") == 0);
}

TEST_CASE("nkvd mesh: of a new node what is missing here is copied, and what differs is ours") {
  Nkvd nkvd({{"both", "theirs"},
             {"deleted", "theirs"},
             {"equal", "1"},
             {"only", "theirs"},
             {"", "no key"}});
  Alone alone;
  alone.node.set("both", "ours");
  alone.node.set("equal", "1");
  alone.node.set("mine", "1");
  alone.node.set("deleted", "1");
  alone.node.remove("deleted");
  alone.join(nkvd);
  alone.settle(nkvd);
  CHECK(alone.node.get("only") == "theirs");
  CHECK(alone.node.get("deleted") == "theirs");
  CHECK(alone.node.get("both") == "ours");
  CHECK(alone.node.figures.nkvd_records_copied == 2);
  CHECK(nkvd.records().at("both") == "ours");
  CHECK(nkvd.records().at("mine") == "1");
  for (const char* const key : {"only", "deleted", "equal"}) {
    CAPTURE(key);
    CHECK(nkvd.count("/set", key) == 0);
  }
}

TEST_CASE("nkvd mesh: of more keys than wait, all are compared") {
  Nkvd nkvd;
  Alone alone;
  alone.join(nkvd);
  alone.settle(nkvd);
  alone.node.set("old", "1");
  alone.settle(nkvd);
  alone.node.remove("old");
  const std::size_t many = NkvdPeer::queued_max + 500;
  for (std::size_t i = 0; i < many; ++i)
    alone.node.set("k" + std::to_string(i), "1");
  turn_until(alone.loop, [&] {
    const auto records = nkvd.records();
    return records.size() > many && !records.contains("old");
  });
  CHECK(nkvd.count("/getAll") == 2);
}

TEST_CASE("nkvd mesh: after a clear nkvd has what was written since") {
  Nkvd nkvd;
  Alone alone;
  alone.join(nkvd);
  alone.node.set("before", "1");
  alone.settle(nkvd);
  alone.node.flush();
  alone.node.set("after", "1");
  turn_until(alone.loop, [&] {
    const auto records = nkvd.records();
    return records.contains("after") && !records.contains("before");
  });
  CHECK(nkvd.count("/clear") == 1);
}

TEST_CASE("nkvd mesh: what nkvd cannot take is counted, and the rest goes on") {
  Nkvd nkvd({}, [](const std::string& path) -> std::optional<std::string> {
    if (path != "/rm") return std::nullopt;
    return "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
  });
  Alone alone;
  alone.join(nkvd);
  alone.settle(nkvd);
  alone.node.set(std::string(64, 'k'), "1");
  alone.node.set("v", std::string(256, 'v'));
  alone.node.set("\xff", "1");
  alone.node.set("k", "\xff");
  alone.node.set("refused", "1");
  alone.settle(nkvd);
  alone.node.remove("refused");
  alone.settle(nkvd);
  CHECK(alone.node.figures.nkvd_writes_refused == 5);
}

TEST_CASE("nkvd mesh: who does not answer as nkvd does is shown to nobody and sent nothing") {
  Nkvd good;
  Nkvd strange({}, [](const std::string& path) -> std::optional<std::string> {
    if (path != "/status") return std::nullopt;
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  });
  Nkvd dhrt({}, [](const std::string& path) -> std::optional<std::string> {
    if (path != "/status") return std::nullopt;
    return "HTTP/1.1 200 OK\r\nX-Dhrt-Node: 7\r\nContent-Length: 19\r\n\r\n{\"maxKeyLength\":64}";
  });
  Alone alone;
  alone.node.mesh->learn({strange.address(), dhrt.address()});
  alone.join(good);
  turn_until(alone.loop, [&] {
    return strange.count("/status") > 0 && dhrt.count("/status") > 0 &&
           alone.node.board.get()->nodes.size() == 1;
  });
  alone.settle(good);
  const auto mesh = alone.node.board.get();
  REQUIRE(mesh->nodes.size() == 1);
  CHECK(mesh->nodes.front().address == good.address());
  CHECK(mesh->others.size() == 3);
  CHECK(mesh->gateway.has_value());
  CHECK(strange.count("/ping") + dhrt.count("/ping") == 0);
}

TEST_CASE("nkvd mesh: a node that is gone is down") {
  Alone alone;
  auto nkvd = std::make_unique<Nkvd>();
  alone.join(*nkvd);
  turn_until(alone.loop, [&] {
    const auto nodes = alone.node.board.get()->nodes;
    return nodes.size() == 1 && !nodes.front().is_down;
  });
  nkvd.reset();
  turn_until(alone.loop, [&] {
    const auto nodes = alone.node.board.get()->nodes;
    return nodes.size() == 1 && nodes.front().is_down;
  });
}

TEST_CASE("nkvd mesh: of two nodes of dhrt one is the gateway, and both know the same mesh") {
  test::Pair pair;
  pair.tick_for(std::chrono::seconds(2));
  EventLoop loop;
  Nkvd nkvd;
  Dhrt first(pair[0]);
  Dhrt second(pair[1]);
  first.begin(loop, [&](const Publish& said) {
    CHECK(said.channel == nkvd::channel);
    if (second.mesh) second.mesh->heard(said.payload);
  });
  second.begin(loop, [&](const Publish& said) { first.mesh->heard(said.payload); });
  first.mesh->learn({nkvd.address()});
  turn_until(loop, [&] {
    const auto one = first.board.get();
    const auto other = second.board.get();
    return one->gateway && one->gateway == other->gateway && one->nodes.size() == 1 &&
           other->nodes.size() == 1 &&
           first.mesh->wants({.name = "default"}) != second.mesh->wants({.name = "default"});
  });
  CHECK_FALSE(first.mesh->wants({.name = "other"}));
  second.mesh.reset();
  first.mesh.reset();
}
