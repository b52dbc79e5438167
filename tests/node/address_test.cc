#include "node/address.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("address: host and port are read as people write them") {
  struct Case {
    const char* why;
    const char* text;
    const char* host;
    std::uint16_t port;
  };
  for (const auto& c : {
           Case{"IPv4", "10.0.0.7:1234", "10.0.0.7", 1234},
           Case{"a name", "db-1.example.org:80", "db-1.example.org", 80},
           Case{"a compose service with an underscore", "my_seed:7453", "my_seed", 7453},
           Case{"no port is ours", "localhost", "localhost", 7453},
           Case{"IPv6 in brackets", "[::1]:9", "::1", 9},
           Case{"IPv6 without a port", "[fe80::1%eth0]", "fe80::1%eth0", 7453},
           Case{"port 0 for a listener", "127.0.0.1:0", "127.0.0.1", 0},
           Case{"the last port", "a:65535", "a", 65535},
       }) {
    CAPTURE(c.why);
    const auto address = parse_address(c.text);
    REQUIRE(address);
    CHECK(*address == Address{c.host, c.port});
    CHECK(parse_address(to_text(*address)).value() == *address);
  }
}

TEST_CASE("address: what is wrong is said, with the value and a right one") {
  struct Case {
    const char* text;
    const char* says;
  };
  for (const auto& c : {
           Case{"", "give HOST:PORT"},
           Case{":7453", "give HOST:PORT"},
           Case{"a b:1", "give HOST:PORT"},
           Case{"host:", "number up to 65535"},
           Case{"host:65536", "number up to 65535"},
           Case{"host:-1", "number up to 65535"},
           Case{"host:80x", "number up to 65535"},
           Case{"::1", "in brackets"},
           Case{"::1:7453", "in brackets"},
           Case{"[::1:7453", "does not close"},
           Case{"[::1]7453", "comes :PORT"},
           Case{"[]:1", "IPv6"},
           Case{"[localhost]:1", "IPv6"},
           Case{"http://a:1", "in brackets"},
       }) {
    CAPTURE(c.text);
    const auto address = parse_address(c.text);
    REQUIRE_FALSE(address);
    CHECK(address.error().code == ErrorCode::invalid_argument);
    CHECK(address.error().message.find(c.says) != std::string::npos);
    CHECK(address.error().message.find("'" + std::string(c.text) + "'") != std::string::npos);
  }
}

TEST_CASE("address: nothing is reached at port 0") {
  CHECK_FALSE(parse_remote_address("localhost:0"));
  CHECK(parse_remote_address("localhost:1"));
}

}  // namespace dhrt
