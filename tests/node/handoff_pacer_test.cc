#include "node/handoff_pacer.h"

#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

struct Bench {
  explicit Bench(Duration delay_max)
      : pacer(std::in_place, loop, figures, delay_max,
              HandoffPacer::Hooks{.pass = [this](MessageIn request) { passed(request); },
                                  .requests = [] { return std::uint64_t{0}; }}) {}
  void ask(ConnectionId connection) { pacer->take({connection, Pull{}}); }
  void passed(const MessageIn& request) {
    order.push_back(request.connection);
    times.push_back(monotonic_now());
    if (order.size() >= wanted) loop.stop();
  }

  EventLoop loop;
  NodeFigures figures;
  std::size_t wanted = 1000;
  std::vector<ConnectionId> order;
  std::vector<Time> times;
  std::optional<HandoffPacer> pacer;
};

}  // namespace

TEST_CASE("handoff pacer: slices come in the order asked for, with pauses between them") {
  Bench bench(Duration{2});
  bench.wanted = 4;
  for (ConnectionId id = 1; id <= 4; ++id)
    bench.ask(id);
  CHECK(bench.order == std::vector<ConnectionId>{1});
  bench.loop.run();
  CHECK(bench.order == std::vector<ConnectionId>{1, 2, 3, 4});
  for (std::size_t i = 1; i < bench.times.size(); ++i)
    CHECK(bench.times[i] - bench.times[i - 1] >= HandoffPace::pause_first);
  CHECK(bench.figures.handoff_paused_milliseconds_total >= 6 * HandoffPace::pause_first.count());
}

TEST_CASE("handoff pacer: with 0 every slice comes at once") {
  Bench bench(Duration{0});
  for (ConnectionId id = 1; id <= 3; ++id)
    bench.ask(id);
  CHECK(bench.order == std::vector<ConnectionId>{1, 2, 3});
  CHECK(bench.figures.handoff_paused_milliseconds_total == 0);
}

TEST_CASE("handoff pacer: who is gone gets nothing, and the others keep their order") {
  Bench bench(Duration{2});
  bench.wanted = 3;
  for (const ConnectionId id : {1, 2, 3, 2, 4})
    bench.ask(id);
  bench.pacer->drop(2);
  bench.loop.run();
  CHECK(bench.order == std::vector<ConnectionId>{1, 3, 4});
}

TEST_CASE("handoff pacer: what is beyond the bound does not wait") {
  Bench bench(Duration{2});
  for (ConnectionId id = 1; id <= 1 + HandoffPacer::held_max + 1; ++id)
    bench.ask(id);
  CHECK(bench.order == std::vector<ConnectionId>{1, 2 + HandoffPacer::held_max});
}

}  // namespace dhrt
