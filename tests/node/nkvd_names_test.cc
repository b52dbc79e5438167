#include "node/nkvd_names.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;

namespace {

std::string parsed(Bytes text) {
  return nkvd::nodes_text(nkvd::parse_nodes(text));
}

}  // namespace

TEST_CASE("nkvd names: a list has hosts with ports, each once; the rest is passed over") {
  struct Case {
    const char* why;
    std::string text, nodes;
  };
  for (const Case& c : {
           Case{"one", "10.0.0.1:8080", "10.0.0.1:8080"},
           Case{"two", "a:1|b-c_d.example:65535", "a:1|b-c_d.example:65535"},
           Case{"none", "", ""},
           Case{"a repeat", "a:1|a:1|a:2", "a:1|a:2"},
           Case{"what a missing field becomes in JavaScript", "undefined", ""},
           Case{"no port", "a|b:|c:0|d:65536|e:-1|f:1x|g:1:2", ""},
           Case{"no host", ":1|a b:1|a/b:1|a@b:1|a\r\nX: y:1|\xff:1", ""},
           Case{"junk between good ones", "a:1||junk|b:2|", "a:1|b:2"},
           Case{"a host beyond what DNS has", std::string(254, 'a') + ":1|b:2", "b:2"},
       }) {
    CAPTURE(c.why);
    CHECK(parsed(c.text) == c.nodes);
  }
  std::string many;
  for (int port = 1; port <= 1000; ++port)
    many += "a:" + std::to_string(port) + "|";
  CHECK(nkvd::parse_nodes(many).size() == nkvd::nodes_max);
}

TEST_CASE("nkvd names: an answer to /ping gives those that are not down") {
  const auto nodes = nkvd::parse_ping_answer(
      R"({"nodes":[{"host":"a","port":1,"isDown":false,"source":"init"},)"
      R"({"host":"b","port":2,"isDown":true},{"host":"c","port":3},{"host":"d","port":null},)"
      R"({"host":"e","port":"5","isDown":false},7,null,[],{"port":1},{"host":"f|g","port":1}]})");
  REQUIRE(nodes);
  CHECK(nkvd::nodes_text(*nodes) == "a:1|c:3");
  for (const Bytes text :
       {"", "{}", "[]", "{\"nodes\":{}}", "{\"error\":\"x\"}", "nodes", "\"\xff\""})
    CHECK_FALSE(nkvd::parse_ping_answer(text));
  CHECK(nkvd::parse_ping_answer("{\"nodes\":[]}"));
}

TEST_CASE("nkvd names: the address of a mesh") {
  struct Case {
    std::string text, host;
    std::uint16_t port;
  };
  for (const Case& c :
       {Case{"http://10.0.0.9:8080", "10.0.0.9", 8080}, Case{"http://lb:8080/", "lb", 8080},
        Case{"http://lb", "lb", 80}, Case{"10.0.0.9:1", "10.0.0.9", 1}}) {
    CAPTURE(c.text);
    const auto address = nkvd::parse_mesh_url(c.text);
    REQUIRE(address);
    CHECK(*address == Address{c.host, c.port});
  }
  for (const Bytes text : {"", "http://", "https://a", "http://a/b", "http://[::1]:80", "a:0"})
    CHECK_FALSE(nkvd::parse_mesh_url(text));
}

TEST_CASE("nkvd names: what nkvd stores") {
  const auto repeated = [](Bytes unit, int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += unit;
    return text;
  };
  const Bytes wide = "\xF0\xA4\xAD\xA2";  // Two units of UTF-16.
  const Bytes three = "\xE2\x9C\x93";     // One unit.
  CHECK(nkvd::takes_key(repeated("k", 63)));
  CHECK_FALSE(nkvd::takes_key(repeated("k", 64)));
  CHECK_FALSE(nkvd::takes_key(""));
  CHECK_FALSE(nkvd::takes_key("\xff"));
  CHECK(nkvd::takes_key(repeated(wide, 31)));
  CHECK_FALSE(nkvd::takes_key(repeated(wide, 32)));
  CHECK(nkvd::takes_value(""));
  CHECK(nkvd::takes_value(repeated("v", 255)));
  CHECK_FALSE(nkvd::takes_value(repeated("v", 256)));
  CHECK(nkvd::takes_value(repeated(three, 255)));
  CHECK_FALSE(nkvd::takes_value(repeated(three, 256)));
  CHECK(nkvd::takes_value(repeated(wide, 127)));
  CHECK_FALSE(nkvd::takes_value("a\xff"));
  CHECK_FALSE(nkvd::takes_value(std::string(1 << 20, 'v')));
}

TEST_CASE("nkvd names: what nodes of dhrt tell each other comes back") {
  const nkvd::Gossip said{.id = 18446744073709551615ULL,
                          .address = "10.0.0.1:7453",
                          .nodes = {{"a", 1}, {"b", 2}},
                          .copied = {{"b", 2}}};
  const auto heard = nkvd::parse_gossip(nkvd::to_text(said));
  REQUIRE(heard);
  CHECK(heard->id == said.id);
  CHECK(heard->address == said.address);
  CHECK(heard->nodes == said.nodes);
  CHECK(heard->copied == said.copied);
  CHECK_FALSE(heard->clear);
  const auto clear = nkvd::parse_gossip(nkvd::to_text(nkvd::Gossip{.clear = true}));
  REQUIRE(clear);
  CHECK(clear->clear);
  for (const Bytes text : {"", "{}", "[]", "{\"id\":1}", "{\"id\":\"x\"}", "{\"id\":\"0\"}"})
    CHECK_FALSE(nkvd::parse_gossip(text));
  CHECK_FALSE(nkvd::parse_gossip("{\"id\":\"1\",\"address\":\"" +
                                 std::string(nkvd::gossip_bytes_max, 'a') + "\"}"));
}
