#include "node/reply_queue.h"

#include <utility>

#include <doctest/doctest.h>

namespace dhrt {

namespace {

std::string released(ReplyQueue& queue, Position durable) {
  std::string out;
  queue.release(durable, out);
  return out;
}

}  // namespace

TEST_CASE("replies: a read does not wait for the write behind it, the write for the store") {
  ReplyQueue queue;
  queue.open(0) += "r";
  queue.open(5) += "w";
  queue.open(0) += "r";
  CHECK(queue.size() == 3);
  CHECK(queue.bytes() == 3);
  CHECK(released(queue, 4) == "r");
  CHECK(queue.waits_for_store());
  CHECK(queue.size() == 2);
  CHECK(released(queue, 5) == "wr");
  CHECK(queue.empty());
  CHECK(queue.size() == 0);
  CHECK(queue.bytes() == 0);
}

TEST_CASE("replies: later turns do not hold up what an earlier one wrote") {
  ReplyQueue queue;
  std::string out;
  for (Position position = 1; position <= 3; ++position) {
    queue.open(position) += static_cast<char>('0' + position);
    queue.release(position - 1, out);
  }
  CHECK(out == "12");
  CHECK(released(queue, 3) == "3");
}

TEST_CASE("replies: one that comes later keeps its place") {
  ReplyQueue queue;
  queue.open(0) += "a";
  const auto first = queue.reserve();
  queue.open(0) += "c";
  const auto second = queue.reserve();
  queue.open(0) += "e";
  CHECK(queue.size() == 5);
  CHECK(released(queue, 0) == "a");
  queue.finish(second, "d", 0);
  CHECK(released(queue, 0).empty());
  CHECK(!queue.waits_for_store());
  queue.finish(first, "b", 7);
  CHECK(released(queue, 6).empty());
  CHECK(queue.waits_for_store());
  CHECK(released(queue, 7) == "bcde");
  queue.finish(first, "again", 0);
  CHECK_MESSAGE(queue.empty(), "a slot that left is forgotten");
}

TEST_CASE("replies: what was sent leaves its memory to what comes next") {
  ReplyQueue queue;
  std::string out;
  queue.open(0) += std::string(100, 'x');
  queue.release(0, out);
  const char* memory = out.data();
  out.clear();
  queue.open(0) += std::string(100, 'y');
  queue.release(0, out);
  out.clear();
  queue.open(0) += std::string(100, 'z');
  queue.release(0, out);
  CHECK(out.data() == memory);
  queue.shrink();
  CHECK(queue.empty());
}

}  // namespace dhrt
