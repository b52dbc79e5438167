#include "tests/bench/workload.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

using dhrt::bench::Command;
using dhrt::bench::Dialect;
using dhrt::bench::KeyOrder;
using dhrt::bench::validate;
using dhrt::bench::Values;
using dhrt::bench::Workload;
using dhrt::bench::WorkloadOptions;

namespace {

WorkloadOptions small() {
  WorkloadOptions options;
  options.keyspace = 10;
  options.key_bytes = 3;
  options.value_bytes = 15;
  options.stamp = 42;
  return options;
}

}  // namespace

TEST_CASE("workload: lines are what both servers read") {
  const Workload workload(small());
  std::string lines;
  workload.append_request({.key = 7, .reads = false}, lines);
  workload.append_request({.key = 8, .reads = true}, lines);
  CHECK(lines == "SET 007 007-00000042xxx\r\nGET 008\r\n");
}

TEST_CASE("workload: a level is named behind the value, and in lines only") {
  WorkloadOptions options;
  options.ack = "quorum";
  CHECK(validate(options));
  const auto phrases = dhrt::bench::phrases_of(Dialect::text, "key", "value", options.ack);
  CHECK(phrases.set.bytes == "SET key value --ack quorum\r\n");
  CHECK(phrases.get.bytes == "GET key\r\n");
  options.dialect = Dialect::resp;
  CHECK_FALSE(validate(options));
}

TEST_CASE("workload: a reader takes the value of its own key and stamp only") {
  const Workload workload(small());
  CHECK(workload.is_value_of(7, "007-00000042xxx"));
  CHECK_FALSE(workload.is_value_of(8, "007-00000042xxx"));
  CHECK_FALSE(workload.is_value_of(7, "007-00000041xxx"));
  CHECK_FALSE(workload.is_value_of(7, "007-00000042xx"));
  CHECK_FALSE(workload.is_value_of(7, ""));

  WorkloadOptions any = small();
  any.stamp = 0;
  CHECK(Workload(any).is_value_of(7, "007-00000041xxx"));
}

TEST_CASE("workload: every dialect asks with the key in its place") {
  struct Case {
    Dialect dialect;
    std::string set;
    std::string get;
  };
  for (const Case& c : {
           Case{Dialect::resp, "*3\r\n$3\r\nSET\r\n$3\r\n007\r\n$15\r\n007-00000042xxx\r\n",
                "*2\r\n$3\r\nGET\r\n$3\r\n007\r\n"},
           Case{Dialect::memcached, "set 007 0 0 15\r\n007-00000042xxx\r\n", "get 007\r\n"},
           Case{Dialect::http,
                "PUT /default/007 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 15\r\n\r\n"
                "007-00000042xxx",
                "GET /default/007 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Accept: application/octet-stream\r\n\r\n"},
       }) {
    WorkloadOptions options = small();
    options.dialect = c.dialect;
    const Workload workload(options);
    std::string set;
    std::string get;
    workload.append_request({.key = 7, .reads = false}, set);
    workload.append_request({.key = 7, .reads = true}, get);
    CHECK(set == c.set);
    CHECK(get == c.get);
  }
}

TEST_CASE("workload: the expected reply matches, and no reply with one other byte") {
  struct Case {
    Dialect dialect;
    bool reads;
    std::string reply;
  };
  for (const Case& c : {
           Case{Dialect::text, false, "+OK\r\n"},
           Case{Dialect::text, true, "$15\r\n007-00000042xxx\r\n"},
           Case{Dialect::memcached, false, "STORED\r\n"},
           Case{Dialect::memcached, true, "VALUE 007 0 15\r\n007-00000042xxx\r\nEND\r\n"},
       }) {
    CAPTURE(c.reply);
    WorkloadOptions options = small();
    options.dialect = c.dialect;
    const Workload workload(options);
    const dhrt::bench::Request request{.key = 7, .reads = c.reads};
    CHECK(workload.matches(request, c.reply + "more") == c.reply.size());
    for (std::size_t at = 0; at < c.reply.size(); ++at) {
      CAPTURE(at);
      CHECK(workload.matches(request, c.reply.substr(0, at)) == 0);
      if (c.reply.find("xxx") <= at && at < c.reply.find("xxx") + 3) continue;  // Not compared.
      std::string other = c.reply;
      other[at] = '#';
      CHECK(workload.matches(request, other) == 0);
    }
  }
}

TEST_CASE("workload: a constant reply is judged by its size alone") {
  WorkloadOptions options = small();
  options.values = Values::any;
  const Workload workload(options);
  CHECK(workload.is_value_of(7, "anything of 15b"));
  CHECK_FALSE(workload.is_value_of(7, "shorter"));
  CHECK(workload.matches({.key = 7, .reads = true}, "$15\r\nanything of 15b\r\n") == 22);
}

TEST_CASE("workload: a value too small for its key is cut") {
  WorkloadOptions options = small();
  options.value_bytes = 2;
  const Workload workload(options);
  std::string line;
  workload.append_request({.key = 7, .reads = false}, line);
  CHECK(line == "SET 007 00\r\n");
  CHECK(workload.is_value_of(7, "00"));
}

TEST_CASE("workload: the same seed asks for the same keys, in order or not") {
  WorkloadOptions options = small();
  options.command = Command::mixed;
  Workload first(options);
  Workload second(options);
  std::set<std::uint32_t> keys;
  std::size_t reads = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto request = first.next();
    const auto same = second.next();
    CHECK(request.key == same.key);
    CHECK(request.reads == same.reads);
    keys.insert(request.key);
    reads += request.reads ? 1 : 0;
  }
  CHECK(keys.size() == 10);
  CHECK(reads > 400);
  CHECK(reads < 600);

  options.order = KeyOrder::sequential;
  Workload sequential(options);
  for (std::uint32_t i = 0; i < 20; ++i)
    CHECK(sequential.next().key == i % 10);
}

TEST_CASE("workload: settings that cannot work are refused") {
  struct Case {
    const char* why;
    std::uint64_t keyspace;
    std::size_t key_bytes;
    std::size_t value_bytes;
    bool valid;
  };
  for (const Case& c : {
           Case{"the default", 100000, 16, 100, true},
           Case{"just enough digits", 1000, 3, 1, true},
           Case{"a digit is missing", 1001, 3, 1, false},
           Case{"no key", 0, 3, 1, false},
           Case{"an empty key", 1, 0, 1, false},
           Case{"a key beyond the limit", 1, 512, 1, false},
           Case{"an empty value", 1, 1, 0, false},
           Case{"more keys than are numbered", 5000000000, 16, 1, false},
       }) {
    CAPTURE(c.why);
    WorkloadOptions options;
    options.keyspace = c.keyspace;
    options.key_bytes = c.key_bytes;
    options.value_bytes = c.value_bytes;
    CHECK(validate(options).has_value() == c.valid);
  }
}
