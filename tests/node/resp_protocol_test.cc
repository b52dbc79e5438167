// A listener of nothing but Redis commands, as arrays and as lines.
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

class RespNode {
 public:
  RespNode()
      : node_(node_options(directory_.path(), {"--memory", "--listen", "resp://127.0.0.1:0"})) {
    REQUIRE(node_.error() == "");
  }

  // Sends the bytes in pieces and ends; all that is answered to them.
  std::string answers(const std::vector<std::string>& pieces) const {
    TestClient client(node_.port(Service::resp));
    for (const std::string& piece : pieces)
      client.send(piece);
    client.end_sending();
    return client.receive_all();
  }

 private:
  TemporaryDirectory directory_;
  RunningNode node_;
};

}  // namespace

TEST_CASE("inline commands: lines and arrays are Redis commands, cut wherever they are") {
  const std::string input =
      "PING\r\nset k \"a b\"\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nget k\r\nSTRLEN k\nset k 'c'\nGET "
      "k\r\n";
  const std::string expected = "+PONG\r\n+OK\r\n$3\r\na b\r\n$3\r\na b\r\n:3\r\n+OK\r\n$1\r\nc\r\n";
  const RespNode node;
  CHECK(node.answers({input}) == expected);
  for (std::size_t cut = 1; cut < input.size(); ++cut) {
    CAPTURE(cut);
    CHECK(node.answers({input.substr(0, cut), input.substr(cut)}) == expected);
  }
}

TEST_CASE("inline commands: native text means nothing there, and errors are those of Redis") {
  const RespNode node;
  CHECK(node.answers({"collections\r\n"}) ==
        "-ERR unknown command 'collections', with args beginning with: \r\n");
  CHECK(node.answers({"PING\nset k \"v\nPING\n"}) ==
        "+PONG\r\n-ERR Protocol error: unbalanced quotes in request\r\n");
}

// A browser can be made to send lines of its choice; what it sends in front of them ends it.
TEST_CASE("inline commands: HTTP is not read as commands") {
  const RespNode node;
  const std::string refusal = "-ERR this looks like HTTP, which is not spoken here\r\n";
  CHECK(node.answers({"POST / HTTP/1.1\r\nHost: a\r\n\r\nset k v\r\n"}) == refusal);
  CHECK(node.answers({"SET /k HTTP/1.1\r\nHost: a\r\n\r\n"}) == refusal);
  CHECK(node.answers({"PING\r\nhost: a\r\nset k v\r\n"}) == "+PONG\r\n" + refusal);
  CHECK(node.answers({"exists /k\r\n"}) == ":0\r\n");
  CHECK(node.answers({"exists k\r\n"}) == ":0\r\n");
}

}  // namespace dhrt
