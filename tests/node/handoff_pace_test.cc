#include "node/handoff_pace.h"

#include <doctest/doctest.h>

namespace dhrt {

namespace {

// Looks of a whole window, the first `late` of which came too late, while clients asked for so
// much.
void window(HandoffPace& pace, unsigned late, std::uint64_t& requests, std::uint64_t more = 1000) {
  requests += more;
  for (unsigned i = 0; i < HandoffPace::looks; ++i)
    pace.looked(i < late ? Duration{3} : Duration{2}, requests);
}

}  // namespace

TEST_CASE("handoff pace: pauses grow while more than one look in a hundred is late, up to an end") {
  HandoffPace pace(Duration{2});
  std::uint64_t requests = 0;
  CHECK(pace.pause() == HandoffPace::pause_first);
  window(pace, 2, requests);
  CHECK(pace.pause() == 2 * HandoffPace::pause_first);
  for (int i = 0; i < 10; ++i)
    window(pace, HandoffPace::looks, requests);
  CHECK(pace.pause() == HandoffPace::pause_max);
}

TEST_CASE("handoff pace: pauses go while clients do not wait, and come back when they do") {
  HandoffPace pace(Duration{2});
  std::uint64_t requests = 0;
  Duration before = pace.pause();
  while (before > Duration{0}) {
    window(pace, 1, requests);
    CHECK(pace.pause() < before);
    before = pace.pause();
  }
  window(pace, 2, requests);
  CHECK(pace.pause() == Duration{1});
}

TEST_CASE("handoff pace: where nobody asks for anything nobody waits") {
  HandoffPace pace(Duration{2});
  std::uint64_t requests = 0;
  window(pace, HandoffPace::looks, requests, HandoffPace::requests_min - 1);
  CHECK(pace.pause() == Duration{0});
}

TEST_CASE("handoff pace: with 0 there are no pauses, whatever happens") {
  HandoffPace pace(Duration{0});
  std::uint64_t requests = 0;
  CHECK(pace.pause() == Duration{0});
  window(pace, HandoffPace::looks, requests);
  CHECK(pace.pause() == Duration{0});
}

TEST_CASE("handoff pace: what was counted before it begins again does not count") {
  HandoffPace pace(Duration{2});
  std::uint64_t requests = 0;
  for (unsigned i = 0; i + 1 < HandoffPace::looks; ++i)
    pace.looked(Duration{100}, 0);
  requests = 500;
  pace.begin(requests);
  window(pace, 0, requests, HandoffPace::requests_min - 1);
  CHECK(pace.pause() == Duration{0});
}

}  // namespace dhrt
