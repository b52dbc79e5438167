// What the hooks are told of requests, whose replies leave in order, late, or never.
#include "node/request_trace.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace dhrt {

namespace {

struct Recorder final : RequestHooks {
  void request_start(const TracedRequest& request) override { note("start", request); }
  void request_complete(const TracedRequest& request) override {
    CHECK(request.completed >= request.started);
    note("complete", request);
  }
  void request_end(const TracedRequest& request) override {
    CHECK(request.ended >= request.completed);
    CHECK(request.client == "10.0.0.1:5");
    ended.push_back(request);
    note("end", request);
  }
  void note(const char* what, const TracedRequest& request) {
    said += (said.empty() ? "" : ", ") + std::string(what) + " " + request.name;
    const bool is_over = std::string_view(what) == "end";
    if (is_over && request.outcome != TracedRequest::Outcome::ok)
      said += " " + std::string(to_text(request.outcome)) + " " + request.error;
  }
  std::string take() { return std::exchange(said, {}); }

  std::string said;
  std::vector<TracedRequest> ended;
};

// A session's queue, and what follows its requests.
struct Fixture {
  void take(const std::function<void()>& request) {
    trace.before_take(queue);
    request();
    trace.after_take(queue);
  }
  void take_read(const std::string& name, Bytes reply = "+OK\r\n") {
    take([&] {
      trace.starts(ClientDialect::resp, name);
      queue.open(0) += reply;
    });
  }
  ReplyQueue::Slot take_late(const std::string& name) {
    ReplyQueue::Slot slot = 0;
    take([&] {
      trace.starts(ClientDialect::resp, name);
      slot = queue.reserve();
      trace.reserves(slot);
    });
    return slot;
  }
  void finish(ReplyQueue::Slot slot, const std::string& reply) {
    trace.finished(slot, reply);
    queue.finish(slot, reply, 0);
  }
  void send(Position durable = 0) {
    std::string out;
    queue.release(durable, out);
    trace.sent(queue);
  }

  Recorder hooks;
  ReplyQueue queue;
  RequestTrace trace{hooks, ClientDialect::resp, "10.0.0.1:5"};
};

}  // namespace

TEST_CASE("request trace: a reply that is there is complete, and over when it has left") {
  Fixture f;
  f.take_read("get");
  CHECK(f.hooks.take() == "start get, complete get");
  f.send();
  CHECK(f.hooks.take() == "end get");
  f.take_read("incr", "-WRONGTYPE a secret\r\n");
  f.send();
  CHECK(f.hooks.take() == "start incr, complete incr, end incr error WRONGTYPE");
}

TEST_CASE("request trace: a write is over when the store has it") {
  Fixture f;
  f.take_read("get");
  f.take([&] {
    f.trace.starts(ClientDialect::resp, "set");
    f.queue.open(7) += "+OK\r\n";
  });
  f.hooks.take();
  f.send(6);
  CHECK(f.hooks.take() == "end get");
  f.send(7);
  CHECK(f.hooks.take() == "end set");
}

TEST_CASE("request trace: a late reply completes its own request, and none is over before it") {
  Fixture f;
  const auto first = f.take_late("a");
  const auto second = f.take_late("b");
  f.take_read("c");
  CHECK(f.hooks.take() == "start a, start b, start c, complete c");
  f.finish(second, "-ERR no\r\n");
  f.send();
  CHECK(f.hooks.take() == "complete b");
  f.finish(first, "+OK\r\n");
  f.send();
  CHECK(f.hooks.take() == "complete a, end a, end b error ERR, end c");
}

TEST_CASE("request trace: a late reply may come within the request") {
  Fixture f;
  f.take([&] {
    f.trace.starts(ClientDialect::resp, "count");
    const auto slot = f.queue.reserve();
    f.trace.reserves(slot);
    f.finish(slot, "-BUSY\r\n");
  });
  f.send();
  CHECK(f.hooks.take() == "start count, complete count, end count error BUSY");
}

TEST_CASE("request trace: what wants no reply is over at once") {
  Fixture f;
  const auto late = f.take_late("first");
  f.take([&] { f.trace.starts(ClientDialect::resp, "silent"); });
  CHECK(f.hooks.take() == "start first, start silent, complete silent, end silent");
  f.finish(late, "x");
  f.send();
  CHECK(f.hooks.take() == "complete first, end first");
}

TEST_CASE("request trace: what was not understood is a request without a name") {
  Fixture f;
  f.take([&] { f.queue.open(0) += "-ERR Protocol error\r\n"; });
  f.send();
  CHECK(f.hooks.take() == "start ?, complete ?, end ? error ERR");
  f.take([] {});  // Half a request.
  f.take([&] { f.queue.open(0) += "HTTP/1.1 100 Continue\r\n\r\n"; });
  f.send();
  CHECK(f.hooks.take() == "");
}

TEST_CASE("request trace: what is pushed between replies is no request's") {
  Fixture f;
  f.queue.open(0) += "pushed";
  f.take_read("get");
  f.queue.open(9) += "pushed";
  f.take([&] {
    f.trace.starts(ClientDialect::resp, "set");
    f.queue.open(9) += "+OK\r\n";
  });
  f.hooks.take();
  f.send(8);
  CHECK(f.hooks.take() == "end get");
  f.send(9);
  CHECK(f.hooks.take() == "end set");
}

TEST_CASE("request trace: what a client did not wait for is lost") {
  Fixture f;
  f.take_read("get");
  f.take_late("wait");
  f.hooks.take();
  f.trace.lost();
  CHECK(f.hooks.take() == "end get lost , complete wait, end wait lost ");
  f.trace.lost();
  CHECK(f.hooks.take() == "");
}

TEST_CASE("request trace: a reason that the reply does not begin with, and more of the name") {
  Fixture f;
  const auto late = f.take_late("POST /rpc");
  f.trace.specify("Storage.Get");
  f.trace.fails("-32002");
  f.trace.fails("-32601");
  f.finish(late, "HTTP/1.1 200 OK\r\n");
  f.send();
  CHECK(f.hooks.take() ==
        "start POST /rpc, complete POST /rpc Storage.Get, end POST /rpc Storage.Get error -32002");
}

TEST_CASE("request trace: names have a bound") {
  Fixture f;
  f.take_read(std::string(100'000, 'n'));
  f.send();
  REQUIRE(f.hooks.ended.size() == 1);
  CHECK(f.hooks.ended[0].name == std::string(RequestTrace::name_bytes_max, 'n'));
}

TEST_CASE("request trace: many late replies are found, in whatever order they come") {
  Fixture f;
  constexpr int count = 2000;
  std::vector<ReplyQueue::Slot> slots;
  for (int i = 0; i < count; ++i) {
    slots.push_back(f.take_late("n"));
    if (i % 3 == 0) f.take_read("between");
  }
  for (auto slot = slots.rbegin(); slot != slots.rend(); ++slot)
    f.finish(*slot, "-ERR\r\n");
  f.send();
  CHECK(f.queue.empty());
  const auto is_late = [](const TracedRequest& request) { return request.name == "n"; };
  CHECK(std::ranges::count_if(f.hooks.ended, is_late) == count);
  for (const TracedRequest& request : f.hooks.ended)
    CHECK((request.error == "ERR") == is_late(request));
}

TEST_CASE("request trace: errors of the dialects, and no more than their word or code") {
  struct Row {
    ClientDialect dialect;
    Bytes reply;
    const char* error;
  };
  for (const Row& row : {
           Row{ClientDialect::text, "+OK\r\n", ""},
           Row{ClientDialect::text, "-ERR unknown 'secret'\r\n", "ERR"},
           Row{ClientDialect::resp, "-NOAUTH Authentication\r\n", "NOAUTH"},
           Row{ClientDialect::resp, "-DISK_FULL\r\n", "DISK_FULL"},
           Row{ClientDialect::resp, "$5\r\n-ERR \r\n", ""},
           Row{ClientDialect::resp, "", ""},
           Row{ClientDialect::http, "HTTP/1.1 200 OK\r\n", ""},
           Row{ClientDialect::http, "HTTP/1.1 304 Not Modified\r\n", ""},
           Row{ClientDialect::http, "HTTP/1.1 404 Not Found\r\n", "404"},
           Row{ClientDialect::http, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Large\r\n", "413"},
           Row{ClientDialect::http, "HTTP/1.1 5", ""},
           Row{ClientDialect::rpc, "HTTP/1.1 503 Busy\r\n", "503"},
           Row{ClientDialect::hati, "+ERR\n\n", "ERR"},
           Row{ClientDialect::hati, "+ERR\n", ""},
           Row{ClientDialect::hermod, "data {         123 200}\4", ""},
           Row{ClientDialect::hermod, "a} 500} {         123 404}\4", "404"},
           Row{ClientDialect::hermod, "}", ""},
           Row{ClientDialect::hermod, "", ""},
       })
    CHECK_MESSAGE(error_in(row.dialect, row.reply) == row.error, row.reply);
}

}  // namespace dhrt
