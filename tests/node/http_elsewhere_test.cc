// HTTP on listeners that do not speak it: a page of any site can make a browser send it there.
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

const std::string head =
    "POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://evil\r\nContent-Length: 99\r\n\r\n";

// Hermod's answers end with "{", a time that is never the same twice, and a code: without the time.
std::string without_times(const std::string& answers) {
  std::string out;
  for (std::size_t at = 0; at < answers.size(); ++at) {
    out += answers[at];
    if (answers[at] != '{') continue;
    const std::size_t time = answers.find_first_not_of(' ', at + 1);
    const std::size_t behind = answers.find_first_not_of("0123456789", time);
    if (behind != std::string::npos && answers[behind] == ' ') at = behind;
  }
  return out;
}

class Listeners {
 public:
  Listeners()
      : node_(node_options(directory_.path(),
                           {"--memory", "--listen", "hati://127.0.0.1:0", "--listen",
                            "hermod://127.0.0.1:0", "--listen", "resp://127.0.0.1:0"})) {
    REQUIRE(node_.error() == "");
  }

  // Sends the bytes in pieces and ends; all that is answered to them.
  std::string answers(Service service, const std::vector<std::string>& pieces) const {
    TestClient client(node_.port(service));
    for (const std::string& piece : pieces)
      client.send(piece);
    client.end_sending();
    return without_times(client.receive_all());
  }
  bool has(const std::string& collection) const {
    TestClient client(node_.port());
    return client.line("has " + collection + " pwn") == ":1\r\n";
  }

 private:
  TemporaryDirectory directory_;
  RunningNode node_;
};

}  // namespace

TEST_CASE("HTTP elsewhere: the connection ends, and nothing behind the head is done") {
  const Listeners node;
  const std::string message = "this looks like HTTP, which is not spoken here";
  struct Case {
    Service service;
    std::string collection;
    std::string body;
    std::string answer;
  };
  for (const Case& c : {
           Case{Service::hati, "memory", "SET memory 0 pwn yes\nGET memory pwn\n", "+ERR\n\n"},
           Case{Service::hermod, "basedb", "\4set pwn in _basedb to yes\4get pwn from _basedb\4",
                message + "{400}\4"},
           Case{Service::resp, "default", "SET pwn yes\r\nGET pwn\r\n", "-ERR " + message + "\r\n"},
       }) {
    CAPTURE(c.collection);
    const std::string input = head + c.body;
    CHECK(node.answers(c.service, {input}) == c.answer);
    for (std::size_t cut = 1; cut < input.size(); ++cut) {
      CAPTURE(cut);
      CHECK(node.answers(c.service, {input.substr(0, cut), input.substr(cut)}) == c.answer);
    }
    CHECK_FALSE(node.has(c.collection));
  }
}

// A page whose own name leads here may use any method, and any path.
TEST_CASE("HTTP elsewhere: neither a method that was made up nor a long path goes through") {
  const Listeners node;
  for (const std::string& line :
       {std::string("set /x HTTP/1.1\r\n"), std::string(100, 'm') + " / HTTP/1.1\r\n",
        "POST /" + std::string(200'000, 'a') + " HTTP/1.1\r\n"}) {
    CAPTURE(line.substr(0, 20));
    CHECK(node.answers(Service::hati, {line + "\r\nSET memory 0 pwn yes\n"}) == "+ERR\n\n");
    const std::string hermod = node.answers(
        Service::hermod, {line + "\r\n\4set pwn in _basedb to yes\4get pwn from _basedb\4"});
    CHECK(hermod == "this looks like HTTP, which is not spoken here{400}\4");
  }
  CHECK_FALSE(node.has("memory"));
  CHECK_FALSE(node.has("basedb"));
  CHECK(node.answers(Service::resp, {"SET /x HTTP/1.1\r\n", "EXISTS /x\r\n"}) ==
        "-ERR this looks like HTTP, which is not spoken here\r\n");
  CHECK(node.answers(Service::resp, {"EXISTS /x\r\n"}) == ":0\r\n");
}

TEST_CASE("HTTP elsewhere: what only looks like it is served") {
  const Listeners node;
  CHECK(node.answers(Service::hati, {"SET memory 0 k GET / HTTP/1.1\nGET memory k\n"}) ==
        "+OK\nGET / HTTP/1.1\n");
  CHECK(node.answers(Service::hati, {"SET memory 0 HTTP/1.1 v\nGET memory HTTP/1.1\n"}) ==
        "+OK\nv\n");
  CHECK(node.answers(Service::hati, {"COUNT hdd"}) == "0\n");
  CHECK(node.answers(Service::hermod, {"set /k in _basedb to GET / HTTP/1.1\r\n\r\n\4"
                                       "get /k from _basedb\4"}) ==
        "Hermod - Connection established (v1.0.0, v0.4.0, Auth)\4{201}\4"
        "GET / HTTP/1.1\r\n\r\n{200}\4");
}

}  // namespace dhrt
