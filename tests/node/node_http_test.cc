// HTTP against a real node.
#include "node/http_handlers.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

NODE_TEST_CASE("http: the routes answer as promised") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  struct Case {
    const char* why;
    std::string method, target, answer;  // Status and the beginning of the body.
    std::string headers = {};
  };
  for (const Case& c : {
           Case{"the node", "GET", "/", "200 {\"Config\":{"},
           Case{"missing", "GET", "/x",
                R"(404 {"Key":"","Value":"","error":"No register handler for [/x]"})"},
           Case{"store", "POST", "/k/v", R"(201 {"Key":"k","Value":"v","Version":")"},
           Case{"read", "GET", "/k", R"(200 {"Key":"k","Value":"v",)"},
           Case{"head", "HEAD", "/k", "200"},
           Case{"store in a collection", "POST", "/c/k/v%2Fw", R"(201 {"Key":"k","Value":"v/w",)"},
           Case{"read it", "GET", "/c/k", R"(200 {"Key":"k","Value":"v/w",)"},
           Case{"an empty value", "POST", "/e/", R"(201 {"Key":"e","Value":"",)"},
           Case{"a key is made", "POST", "//v", R"(201 {"Key":")"},
           Case{"list", "GET", "/c", R"(200 [{"Key":"k","Value":"v/w",)"},
           Case{"list by slash", "GET", "/c/", R"(200 [{"Key":"k","Value":"v/w",)"},
           Case{"list without body", "HEAD", "/c", "200"},
           Case{"a plus is a plus", "POST", "/p/a+b", R"(201 {"Key":"p","Value":"a+b",)"},
           Case{"delete", "DELETE", "/k", R"(202 {"Key":"k"})"},
           Case{"delete again", "DELETE", "/k", "404 "},
           Case{"a key named as a collection", "POST", "/c/v", "201 "},
           Case{"which is meant?", "DELETE", "/c", R"(409 {"error":"both a key)"},
           Case{"the key", "DELETE", "/default/c", R"(202 {"Key":"c"})"},
           Case{"now the collection", "DELETE", "/c", R"(202 ["k"])"},
           Case{"is gone", "GET", "/c", "404 "},
           Case{"a word of the node's own", "GET", "/metrics", "200 # HELP dhrt_"},
           Case{"which no key is stored under", "PUT", "/metrics", "405 "},
           Case{"but reachable", "POST", "/default/metrics/1", "201 "},
           Case{"no such method", "PATCH", "/k", "405 "},
           Case{"options", "OPTIONS", "/k", "204"},
           Case{"options of all", "OPTIONS", "*", "204"},
           Case{"bad escape", "GET", "/%zz", "400 "},
           Case{"bad ttl", "POST", "/k/v?ttl=soon", "400 "},
           Case{"a level that is given", "GET", "/p", "200 ", "X-Dhrt-Read: one\r\n"},
           Case{"a higher one", "GET", "/p", "200 ", "X-Dhrt-Read: linear\r\n"},
           Case{"there is none such", "GET", "/p", "400 ", "X-Dhrt-Read: most\r\n"},
           Case{"two that differ", "GET", "/p", "400 ",
                "X-Dhrt-Read: one\r\nX-Dhrt-Read: quorum\r\n"},
           Case{"a list has none", "GET", "/c/", "400 ", "X-Dhrt-Read: quorum\r\n"},
           Case{"nor has nkvd", "GET", "/set?k=a&v=1", "400 ", "X-Dhrt-Ack: quorum\r\n"},
           Case{"a write", "POST", "/q/2", "201 ", "X-Dhrt-Ack: quorum\r\n"},
           Case{"of all", "PUT", "/q", "201 ", "X-Dhrt-Ack: all\r\nContent-Length: 0\r\n"},
           Case{"linear", "POST", "/q/3", "201 ", "X-Dhrt-Ack: linear\r\n"},
           Case{"is read", "GET", "/q", R"(200 {"Key":"q","Value":"3",)",
                "X-Dhrt-Read: quorum\r\n"},
           Case{"no condition at linear", "POST", "/q/4", "400 ",
                "X-Dhrt-Ack: linear\r\nIf-None-Match: *\r\n"},
           Case{"a condition at quorum", "POST", "/q/4", "412 ",
                "X-Dhrt-Ack: quorum\r\nIf-None-Match: *\r\n"},
           Case{"a condition that holds", "POST", "/r/4", "201 ",
                "X-Dhrt-Ack: quorum\r\nIf-None-Match: *\r\n"},
           Case{"a delete", "DELETE", "/q", "202 ", "X-Dhrt-Ack: linear\r\n"},
           Case{"a delete again", "DELETE", "/q", "404 ", "X-Dhrt-Ack: quorum\r\n"},
           Case{"a delete with a condition", "DELETE", "/r", "202 ",
                "X-Dhrt-Ack: all\r\nIf-Match: *\r\n"},
           Case{"a condition", "DELETE", "/p", R"(412 {"error":"the version is )",
                "If-Match: \"1-2\"\r\n"},
           Case{"a condition", "POST", "/p/2", R"(412 {"error":"the version is )",
                "If-None-Match: *\r\n"},
           Case{"nothing was overwritten", "GET", "/p", R"(200 {"Key":"p","Value":"a+b",)"},
           Case{"too long a key", "GET", "/" + std::string(512, 'k'), "400 "},
           Case{"alive", "GET", "/_/health/live", R"(200 {"status":"live"})"},
           Case{"ready", "GET", "/_/health/ready", R"(200 {"status":"ready"})"},
       }) {
    CAPTURE(c.why);
    CHECK(client.http(c.method, c.target, c.headers).substr(0, c.answer.size()) == c.answer);
  }
  client.http("PATCH", "/k");
  CHECK(client.last_head().find("Allow: GET, HEAD, PUT, DELETE, OPTIONS") != std::string::npos);
}

NODE_TEST_CASE("http: any bytes go in and come out") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  std::string bytes;
  for (int i = 0; i < 1024; ++i)
    bytes += static_cast<char>(i);
  const std::string put = client.http("PUT", "/b", "Content-Type: image/x-test\r\n", bytes);
  CHECK(put.substr(0, 3) == "201");
  CHECK(put.find("\"Version\":") != std::string::npos);
  CHECK(put.find("\"Value\":") == std::string::npos);  // The client has it.
  CHECK(client.http("GET", "/b", "Accept: application/octet-stream\r\n") == "200 " + bytes);
  CHECK(client.last_head().find("Content-Type: image/x-test") != std::string::npos);
  const std::string json = client.http("GET", "/b");
  CHECK(json.find("\"Value\":\"AAECAwQF") != std::string::npos);
  CHECK(json.find("\"Encoding\":\"base64\"") != std::string::npos);
}

NODE_TEST_CASE("http: the value itself is given to who wants it rather than JSON") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  REQUIRE(client.http("PUT", "/b", "", "bytes").substr(0, 3) == "201");
  struct Case {
    const char* accept;
    bool raw;
  };
  for (const Case& c : {
           Case{"application/octet-stream", true},
           Case{"application/octet-stream;q=0, application/json", false},
           Case{"application/octet-stream;q=0", false},
           Case{"application/octet-stream;q=0.4, application/json;q=0.5", false},
           Case{"application/octet-stream;q=0.5, application/json;q=0.4", true},
           Case{"application/json, application/octet-stream", true},
           Case{"application/octet-stream, */*", true},
           Case{"Application/Octet-Stream", true},
           Case{"*/*", false},
           Case{"application/*", false},
           Case{"application/json;q=0, */*", true},
           Case{"text/html", false},
           Case{"x-application/octet-stream", false},
       }) {
    for (const char* more : {"", "X-Other: 1\r\n"}) {  // Which makes it one for the routes.
      CAPTURE(c.accept);
      const std::string headers = std::string("Accept: ") + c.accept + "\r\n" + more;
      CHECK((client.http("GET", "/b", headers) == "200 bytes") == c.raw);
    }
  }
  const std::string both = "Accept: application/json;q=0\r\nAccept: application/*;q=0.1\r\n";
  CHECK(client.http("GET", "/b", both) == "200 bytes");
}

NODE_TEST_CASE("http: a content type that is too long is refused, and nothing stored") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  REQUIRE(client.http("PUT", "/c/k", "", "old").substr(0, 3) == "201");
  const auto type = [](std::size_t bytes) {
    return "Content-Type: " + std::string(bytes, 't') + "\r\n";
  };
  for (const char* more : {"", "X-Other: 1\r\n"}) {
    const std::string refused = client.http("PUT", "/c/k", type(3000) + more, "new");
    CHECK(refused.substr(0, 3) == "400");
    CHECK(refused.find("3000 bytes") != std::string::npos);
    CHECK(refused.find("255") != std::string::npos);
    CHECK(client.http("PUT", "/c/k", type(256) + more, "new").substr(0, 3) == "400");
  }
  CHECK(client.http("GET", "/c/k").find(R"("Value":"old")") != std::string::npos);
  CHECK(client.http("PUT", "/c/k", type(255), "new").substr(0, 3) == "201");
  client.http("GET", "/c/k", "Accept: application/octet-stream\r\n");
  CHECK(client.last_head().find(type(255)) != std::string::npos);
  TestClient lines(node.port());
  CHECK(lines.line("set c k newer --type " + std::string(256, 't')).find("255") !=
        std::string::npos);
}

NODE_TEST_CASE("http: a long list arrives whole, though it is never built whole") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient text(node.port());
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += "set long key" + std::to_string(i) + " value\n";
  text.send(lines);
  REQUIRE(text.receive(5000 * 5).size() == 5000 * 5);
  TestClient client(node.port());
  const std::string list = client.http("GET", "/long");
  std::size_t count = 0;
  for (std::size_t at = list.find("\"Key\""); at != std::string::npos;
       at = list.find("\"Key\"", at + 1))
    ++count;
  CHECK(count == 5000);
  CHECK(list.back() == ']');
}

NODE_TEST_CASE("http: pipelined requests are answered in order") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  const auto request = [](const std::string& line) {
    return line + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  };
  client.send(request("POST /a/1") + request("GET /a") + request("GET /default/") +
              request("DELETE /a") + request("GET /a"));
  CHECK(client.http_response().substr(0, 4) == "201 ");
  CHECK(client.http_response().substr(0, 26) == R"(200 {"Key":"a","Value":"1")");
  CHECK(client.http_response().substr(0, 15) == R"(200 [{"Key":"a")");
  CHECK(client.http_response() == R"(202 {"Key":"a"})");
  CHECK(client.http_response().substr(0, 4) == "404 ");
}

TEST_CASE("http: what is logged of a path has no value and no piece of one") {
  struct Case {
    const char* method;
    const char* path;
    const char* shown;
  };
  for (const Case& c : {
           Case{"GET", "/", "/"},
           Case{"GET", "/k", "/k"},
           Case{"GET", "/c/k", "/c/k"},
           Case{"HEAD", "/c/k", "/c/k"},
           Case{"PUT", "/c/k", "/c/k"},
           Case{"GET", "/c/", "/c/"},
           Case{"GET", "/_/health/live", "/_/health/live"},
           Case{"GET", "/_/watch/c", "/_/watch/c"},
           Case{"POST", "/", "/"},
           Case{"POST", "/rpc", "/rpc"},
           Case{"POST", "/k/VALUE", "/k/*"},
           Case{"POST", "//VALUE", "//*"},
           Case{"POST", "/k/", "/k/"},
           Case{"POST", "/c/k/VALUE", "/c/k/*"},
           Case{"POST", "/c//VALUE", "/c//*"},
           Case{"POST", "/c/k/VALUE%zz", "/c/k/*"},
           Case{"POST", "/c/k/VALUE/", "/c/*"},
           Case{"POST", "/c/k/VA/LUE", "/c/*"},
           Case{"POST", "/k/V/A/L/U/E", "/k/*"},
           Case{"POST", "/set/k/VALUE", "/set/*"},
           Case{"GET", "/c/k/VALUE", "/c/k/*"},
           Case{"PUT", "/c/k/VALUE", "/c/k/*"},
           Case{"PUT", "/c/k/VALUE/", "/c/*"},
           Case{"PATCH", "/k/VALUE", "/k/*"},
           Case{"GET", "/set/k/VALUE", "/set/*"},
           Case{"GET", "/_/nothing/VALUE", "/_/*"},
           Case{"OPTIONS", "*", "*"},
           Case{"CONNECT", "host:80", "host:80"},
       }) {
    http::Request request;
    request.method = c.method;
    request.path = c.path;
    request.query = "v=VALUE";
    CHECK(name_to_log(request) == std::string(c.method) + " " + c.shown);
  }
}

NODE_TEST_CASE("http: pages of other sites are kept out") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--advertise", "db.example:7453"}));
  REQUIRE(node.error() == "");
  struct Case {
    const char* why;
    std::string headers;
    int status;
  };
  for (const Case& c : {
           Case{"a program", "Host: 127.0.0.1:7453\r\n", 200},
           Case{"IPv6", "Host: [::1]:7453\r\n", 200},
           Case{"the advertised name", "Host: db.example\r\n", 200},
           Case{"a name that was rebound", "Host: evil.example\r\n", 403},
           Case{"our own page", "Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200},
           Case{"another page", "Host: localhost:1\r\nOrigin: http://evil.example\r\n", 403},
           Case{"a page without origin", "Host: localhost\r\nOrigin: null\r\n", 403},
           Case{"another site", "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403},
           Case{"typed by a person", "Host: localhost\r\nSec-Fetch-Site: none\r\n", 200},
       }) {
    CAPTURE(c.why);
    TestClient client(node.port());
    client.send("GET / HTTP/1.1\r\n" + c.headers + "\r\n");
    CHECK(client.http_response().substr(0, 3) == std::to_string(c.status));
  }
}

NODE_TEST_CASE("http: bad requests get a status and end the connection") {
  const TemporaryDirectory directory;
  const RunningNode node(with_value_limit(node_options(directory.path()), 1000));
  REQUIRE(node.error() == "");
  struct Case {
    const char* why;
    std::string bytes, status;
  };
  for (const Case& c : {
           Case{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
           Case{"a body over the limit",
                "PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n", "413"},
           Case{"a head over the limit",
                "GET / HTTP/1.1\r\nX: " + std::string(70000, 'x') + "\r\n\r\n", "431"},
           Case{"a line over the limit", "GET /" + std::string(70000, 'x'), "414"},
           Case{"two lengths", "PUT /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "400"},
       }) {
    CAPTURE(c.why);
    TestClient client(node.port());
    client.send(c.bytes);
    CHECK(client.http_response().substr(0, 3) == c.status);
    CHECK(client.closed());
  }
}

NODE_TEST_CASE("http: a body is asked for when the client wants that") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  client.send(
      "PUT /a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(client.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  CHECK(client.http_response().substr(0, 14) == R"(201 {"Key":"a")");
  CHECK(client.http("GET", "/a").find(R"("Value":"hi")") != std::string::npos);
}

}  // namespace dhrt
