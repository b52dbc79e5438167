#include "node/endpoint.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("endpoint: a dialect and where it is served") {
  struct Case {
    const char* text;
    Service service;
    const char* host;
    std::uint16_t port;
    const char* path;
    const char* again;
  };
  for (const Case& c : {
           Case{"dhrt://0.0.0.0:7453", Service::dhrt, "0.0.0.0", 7453, "", "dhrt://0.0.0.0:7453"},
           Case{"hati://localhost", Service::hati, "localhost", 4242, "", "hati://localhost:4242"},
           Case{"rpc://[::1]", Service::rpc, "::1", 6767, "", "rpc://[::1]:6767"},
           Case{"hermod://[::]:1", Service::hermod, "::", 1, "", "hermod://[::]:1"},
           Case{"resp://h:0", Service::resp, "h", 0, "", "resp://h:0"},
           Case{"http://h", Service::http, "h", 8080, "", "http://h:8080"},
           Case{"resp+tls://h", Service::resp, "h", 6379, "", "resp+tls://h:6379"},
           Case{"resp+unix:///run/a b.sock", Service::resp, "", default_port, "/run/a b.sock",
                "resp+unix:///run/a b.sock"},
           Case{"http+tls+unix:///run/x", Service::http, "", default_port, "/run/x",
                "http+tls+unix:///run/x"},
       }) {
    CAPTURE(c.text);
    const auto endpoint = parse_endpoint(c.text);
    REQUIRE(endpoint);
    CHECK(endpoint->service == c.service);
    CHECK(endpoint->address == Address{c.host, c.port});
    CHECK(endpoint->path == c.path);
    CHECK(endpoint->tls == (std::string(c.text).find("+tls") != std::string::npos));
    CHECK(to_text(*endpoint) == c.again);
  }
}

TEST_CASE("endpoint: what is none is told, and what to write instead") {
  struct Case {
    std::string text;
    const char* says;
  };
  for (const Case& c : {
           Case{"", "DIALECT://HOST:PORT"},
           Case{"localhost:6379", "DIALECT://HOST:PORT"},
           Case{"redis://localhost", "dhrt, hati, rpc, hermod, resp or http"},
           Case{"Resp://localhost", "dhrt, hati, rpc, hermod, resp or http"},
           Case{"unix:///run/x", "dhrt, hati, rpc, hermod, resp or http"},
           Case{"resp://", "HOST:PORT"},
           Case{"resp://h:x", "the port"},
           Case{"resp://h:70000", "the port"},
           Case{"resp+unix://run/x", "begins at /"},
           Case{"redis+unix:///run/x", "dhrt, hati, rpc, hermod, resp or http"},
           Case{"resp+unix+tls:///run/x", "+tls, +unix or +tls+unix"},
           Case{"resp+ssl://h", "+tls, +unix or +tls+unix"},
           Case{"resp+unix:///run/", "begins at /"},
           Case{"resp+unix:///" + std::string(107, 'x'), "at most 107 bytes"},
           Case{"resp+unix:///a\nb", "control characters"},
       }) {
    CAPTURE(c.text);
    const auto endpoint = parse_endpoint(c.text);
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.error().code == ErrorCode::invalid_argument);
    CHECK(endpoint.error().message.find(c.says) != std::string::npos);
  }
  CHECK(parse_endpoint("resp+unix:///" + std::string(106, 'x')));
}

TEST_CASE("endpoint: the table of services is in the order of their enumeration") {
  for (const ServiceInfo& info : services())
    CHECK(&info_of(info.service) == &info);
}

}  // namespace dhrt
