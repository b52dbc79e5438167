// The short ways of plain commands and requests lead to the same replies as the general path.
#include <algorithm>

#include "storage/base/random.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

// The words of a command, as the general path takes them: a quoted key means the same.
struct Spoken {
  std::string plain;
  std::string general;
};

class Speaker {
 public:
  explicit Speaker(std::uint64_t seed) : random_(seed) {}

  Spoken command() {
    switch (random_.below(12)) {
      case 0:
        return same("del " + key());
      case 1:
        return same("set " + key() + " \"a b\" --ttl 1h");
      case 2:
        return same("get --read one " + key());
      case 3:
        return same(pick({"nonsense", "get", "set a", "", "has k1", "count", "get /k HTTP/1.1"}));
      case 4:
        return same(pick({"drop c", "flush c", "flush default", "create c --ttl 1h"}));
      case 5:
        return words({"get", pick({"_sys", "-c", "/k"}), key()});
      case 6:
      case 7:
      case 8:
        return words(in_collection({"get", key()}));
      default:
        return words(in_collection({"set", key(), value()}));
    }
  }

 private:
  std::string pick(std::vector<std::string> choices) {
    return choices[random_.below(choices.size())];
  }
  std::string key() {
    return random_.chance(0.02) ? std::string(512, 'k') : "k" + std::to_string(random_.below(9));
  }
  std::string value() {
    return random_.chance(0.02) ? std::string(1025, 'v')
                                : std::string(random_.below(40) + 1, 'v') + pick({"", "\r", "é"});
  }
  std::vector<std::string> in_collection(std::vector<std::string> words) {
    if (random_.chance(0.4)) words.insert(words.begin() + 1, pick({"c", "d", "default"}));
    return words;
  }
  Spoken same(const std::string& line) { return {line + "\r\n", line + "\r\n"}; }
  Spoken words(const std::vector<std::string>& words) {
    Spoken spoken{words[0], words[0]};
    for (auto word = words.begin() + 1; word != words.end(); ++word) {
      spoken.plain += " " + *word;
      spoken.general += "  " + *word;
    }
    const std::string end = pick({"\r\n", "\n"});
    // A CR before the line end would be taken for a part of it.
    spoken.plain += (spoken.plain.ends_with('\r') ? "\r\n" : end);
    spoken.general += " \n";
    return spoken;
  }

  Random random_;
};

}  // namespace

TEST_CASE("fast commands: a pipeline is answered as its commands one by one would be") {
  const TemporaryDirectory directory;
  const auto options = [&](const char* name) {
    return with_value_limit(node_options(directory.path() + "/" + name, {"--memory"}), 1024);
  };
  const RunningNode fast(options("fast"));
  const RunningNode general(options("general"));
  REQUIRE(fast.error() == "");
  REQUIRE(general.error() == "");
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Speaker speaker(seed);
    std::string plain;
    std::string spaced;
    for (int i = 0; i < 400; ++i) {
      const Spoken spoken = speaker.command();
      plain += spoken.plain;
      spaced += spoken.general;
    }
    TestClient first(fast.port());
    TestClient second(general.port());
    first.send(plain + "quit\r\n");
    second.send(spaced + "quit\r\n");
    const std::string expected = second.receive_all();
    CHECK(expected.ends_with("+OK\r\n"));
    CHECK(first.receive_all() == expected);
  }
}

TEST_CASE("fast commands: arrays in runs are answered as arrays one by one") {
  const TemporaryDirectory directory;
  const auto options = [&](const char* name) {
    return with_value_limit(node_options(directory.path() + "/" + name, {"--memory"}), 1024);
  };
  const RunningNode together(options("together"));
  const RunningNode single(options("single"));
  REQUIRE(together.error() == "");
  REQUIRE(single.error() == "");
  Random random(1);
  const std::vector<std::vector<std::string>> others{
      {"PING"},    {"DEL", "k1"}, {"SELECT", "1"}, {"SELECT", "c"},       {"SELECT", "0"},
      {"FLUSHDB"}, {"GET"},       {"get", ""},     {"APPEND", "k2", "x"}, {"SET", "k1", "v", "NX"}};
  for (int round = 0; round < 10; ++round) {
    std::vector<std::string> commands;
    for (int i = 0; i < 200; ++i) {
      const std::string key = "k" + std::to_string(random.below(9));
      const std::string value(random.chance(0.02) ? 1025 : random.below(40), 'v');
      if (random.chance(0.1))
        commands.push_back(redis_array(others[random.below(others.size())]));
      else if (random.chance(0.5))
        commands.push_back(redis_array({"GET", key}));
      else
        commands.push_back(redis_array({"SET", key, value}));
    }
    TestClient first(together.port());
    TestClient second(single.port());
    std::string all, expected;
    for (const std::string& command : commands) {
      all += command;
      second.send(command);
      expected += second.reply();
    }
    first.send(all);
    std::string seen;
    for (std::size_t i = 0; i < commands.size(); ++i)
      seen += first.reply();
    CHECK(seen == expected);
  }
}

TEST_CASE("fast commands: a collection's time to live holds for them, too") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.line("create short --ttl 1ms") == "+OK\r\n");
  client.send("set short k v\r\nset k v\r\n");
  CHECK(client.receive_until("\r\n") == "+OK\r\n");
  CHECK(client.receive_until("\r\n") == "+OK\r\n");
  CHECK(ask_until(client, "has short k", ":0") == ":0\r\n");
  CHECK(client.bulk("get k") == "v");
}

TEST_CASE("fast commands: replies larger than a client reads do not pile up") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  const std::string value(60000, 'v');
  CHECK(client.line("set k " + value) == "+OK\r\n");
  constexpr std::size_t reads = 300;
  std::string pipeline;
  for (std::size_t i = 0; i < reads; ++i)
    pipeline += "get k\r\n";
  client.send(pipeline + "quit\r\n");
  const std::string one = "$60000\r\n" + value + "\r\n";
  const std::string all = client.receive_all();
  REQUIRE(all.size() == reads * one.size() + 5);
  for (std::size_t i = 0; i < reads; ++i)
    CHECK(all.compare(i * one.size(), one.size(), one) == 0);
}

TEST_CASE("fast http: a plain request is answered as the routes would answer it") {
  const TemporaryDirectory directory;
  const RunningNode node(with_value_limit(node_options(directory.path(), {"--memory"}), 1024));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  // A header that nobody knows makes it a request for the routes.
  const auto answers = [&](const std::string& method, const std::string& path,
                           const std::string& headers, const std::string& body) {
    std::string seen;
    for (const char* more : {"", "X-Other: 1\r\n"}) {
      const std::string reply = client.http(method, path, headers + more, body);
      seen += client.last_head() + reply + "\n";
    }
    // Versions and times differ.
    std::ranges::replace_if(
        seen, [](char c) { return c >= '1' && c <= '9'; }, '0');
    return seen;
  };
  Random random(1);
  const std::vector<std::string> paths{"/k",        "/c/k",           "/default/k",
                                       "/c",        "/_/health/live", "/get",
                                       "/_sys/k",   "/-c/k",          "/d/" + std::string(512, 'k'),
                                       "/status/k", "/default",       "/e/%6b"};
  const std::vector<std::string> headers{"",
                                         "Accept: application/octet-stream\r\n",
                                         "Accept: application/octet-stream;q=0, */*\r\n",
                                         "Content-Type: text/plain\r\n",
                                         "Content-Type: " + std::string(256, 't') + "\r\n",
                                         "Accept: */*\r\nUser-Agent: x\r\n"};
  const std::vector<std::string> bodies{
      "v",         "a \"quoted\" \n value", "\xff\x01",
      "h\xc3\xa9", std::string(1025, 'v'),  std::string(600, 'v')};
  for (int round = 0; round < 500; ++round) {
    const bool puts = random.chance(0.4);
    const std::string path = paths[random.below(paths.size())];
    const std::string header = headers[random.below(headers.size())];
    const std::string body = puts ? bodies[random.below(bodies.size())] : "";
    if (puts && body.size() > 1024) continue;  // Refused before it is read, and closed.
    CAPTURE(path + " " + header + " " + body);
    const std::string both = answers(puts ? "PUT" : "GET", path, header, body);
    CHECK(both.substr(0, both.size() / 2) == both.substr(both.size() / 2));
  }
}

TEST_CASE("fast http: a Host of another machine is refused, also behind one of ours") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.http("PUT", "/k", "", "v").substr(0, 3) == "201");
  CHECK(client.http("GET", "/k").substr(0, 3) == "200");
  client.send("GET /k HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  CHECK(client.http_response().substr(0, 3) == "403");
  CHECK(client.http("GET", "/k").substr(0, 3) == "200");
}

}  // namespace dhrt
