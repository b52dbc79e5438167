#include "node/placement.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("placement: of equals, who accepted a client keeps it") {
  Placement placement(3);
  CHECK(placement.place(2) == 2);
  CHECK(placement.place(1) == 1);
  CHECK(placement.place(0) == 0);
  CHECK(placement.place(1) == 1);
}

TEST_CASE("placement: a loop that has more than another gives what it accepts to that one") {
  Placement placement(3);
  for (int i = 0; i < 30; ++i)
    placement.place(1);
  for (unsigned loop = 0; loop < 3; ++loop)
    CHECK(placement.clients(loop) == 10);
  CHECK(placement.clients() == 30);
}

TEST_CASE("placement: who leaves makes room") {
  Placement placement(2);
  for (int i = 0; i < 4; ++i)
    placement.place(0);
  placement.left(1, 2);
  CHECK(placement.place(0) == 1);
  CHECK(placement.place(0) == 1);
  CHECK(placement.clients() == 4);
}

TEST_CASE("placement: what could not be given away counts where it stays") {
  Placement placement(2);
  CHECK(placement.place(0) == 0);
  const unsigned chosen = placement.place(0);
  REQUIRE(chosen == 1);
  placement.stays(0, chosen);
  CHECK(placement.clients(0) == 2);
  CHECK(placement.clients(1) == 0);
}

TEST_CASE("placement: with one loop everybody is there") {
  Placement placement(1);
  CHECK(placement.place(0) == 0);
  CHECK(placement.place(0) == 0);
  CHECK(placement.clients() == 2);
}

}  // namespace dhrt
