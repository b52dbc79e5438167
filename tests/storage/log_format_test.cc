// The bytes of the log: what is written is read back, and nothing else is.
#include "storage/log_format.h"

#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;

namespace {

constexpr Origin own{7, 3, 1};
constexpr Origin peer{9, 2, 0};
const CollectionRef users{"users", 4};

// Writes down what it is shown.
class Notes : public LogVisitor {
 public:
  struct Item {
    CollectionRef collection;
    std::string what;
    std::string key;
    Record record;
    bool joins_seen = false;
    Context seen;
    Context flushed;
    std::uint64_t hlc = 0;

    bool operator==(const Item&) const = default;
  };

  void record(const CollectionRef& collection, Bytes key, const RecordView& record,
              bool joins_seen) override {
    CHECK(record.unseen == !joins_seen);
    items.push_back({collection, "record", std::string(key), copy_of(record), joins_seen, {}, {}});
  }
  void contexts(const CollectionRef& collection, const Context& seen,
                const Context& flushed) override {
    items.push_back({collection, "contexts", {}, {}, false, seen, flushed});
  }
  void erased(const CollectionRef& collection) override {
    items.push_back({collection, "erase", {}, {}, false, {}, {}});
  }
  void forgotten(const CollectionRef& collection, const Context& dots, std::uint64_t hlc) override {
    items.push_back({collection, "forgotten", {}, {}, false, dots, {}, hlc});
  }

  std::vector<Item> items;
};

Record record_of(const Origin& origin, std::uint64_t sequence, std::string value) {
  Record record;
  record.version = {1000 + sequence, origin.node};
  record.dot = {origin, sequence};
  record.value = std::move(value);
  return record;
}

std::vector<Notes::Item> every_kind() {
  Record full = record_of(peer, std::numeric_limits<std::uint64_t>::max(), "value");
  full.version.node = 77;
  full.deadline = 123456;
  full.created = 99;
  full.attributes = std::string(300, 'a');
  Record tombstone = record_of(own, 2, "");
  tombstone.deleted = true;
  Record damaged = record_of(peer, 3, "");
  damaged.damaged = true;
  Context seen;
  seen.add(peer, {1, 5});
  seen.add(peer, {9, 300});
  Context flushed;
  flushed.add(own, {1, 1});
  const CollectionRef system{"_sys", 0};
  const CollectionRef again{"users", 5};
  const CollectionRef longest{std::string(collection_name_bytes_max, 'n'), 1};
  return {
      {users, "record", "key", record_of(own, 1, "v"), true, {}, {}},
      {users, "record", std::string(key_bytes_max, 'k'), full, false, {}, {}},
      {users, "record", "gone", tombstone, true, {}, {}},
      {system, "contexts", {}, {}, false, seen, flushed},
      {system, "record", "d", damaged, false, {}, {}},
      {users, "erase", {}, {}, false, {}, {}},
      {again,
       "record",
       std::string("\0\xff", 2),
       record_of(own, 3, std::string(70'000, 'x')),
       true,
       {},
       {}},
      {longest, "contexts", {}, {}, false, {}, {}},
      {system, "forgotten", {}, {}, false, seen, {}, 77},
  };
}

void add(FrameBuilder& frame, const Notes::Item& item) {
  if (item.what == "record")
    frame.add_record(item.collection, item.key, view_of(item.record), item.joins_seen);
  else if (item.what == "contexts")
    frame.add_contexts(item.collection, item.seen, item.flushed);
  else if (item.what == "forgotten")
    frame.add_forgotten(item.collection, item.seen, item.hlc);
  else
    frame.add_erase(item.collection);
}

const FrameHead head_of_all{.log = {3, 1},
                            .segment = 1ULL << 40,
                            .salt = 1ULL << 63,
                            .position = 12,
                            .previous = 10,
                            .synced_upto = 9};

// A short one, so that tests can try every place in it.
std::string short_frame() {
  FrameBuilder frame(own);
  Record record = record_of(peer, 5, "value");
  record.deadline = 5;
  record.attributes = "aa";
  frame.add_record(users, "key", view_of(record), true);
  Context seen;
  seen.add(peer, {1, 5});
  frame.add_contexts(users, seen, {});
  frame.add_erase({"notes", 1});
  return std::string(frame.finish(head_of_all));
}

Bytes body_of(Bytes frame) {
  return frame.substr(log_frame_head_bytes);
}

}  // namespace

TEST_CASE("log frame: everything that is added comes back, in order") {
  FrameBuilder frame(own);
  const auto items = every_kind();
  for (int life = 0; life < 2; ++life) {  // A builder is used again.
    CHECK(frame.empty());
    for (const auto& item : items) {
      const std::size_t before = frame.bytes();
      add(frame, item);
      if (item.what == "record") {
        CHECK(frame.bytes() - before <= log_record_bytes_max(item.key, view_of(item.record)));
      }
    }
    CHECK(!frame.empty());
    const Bytes bytes = frame.finish(head_of_all);
    CHECK(bytes.size() == frame.bytes());
    CHECK(frame_is_intact(bytes));
    const auto head = decode_frame_head(bytes);
    REQUIRE(head);
    FrameHead expected = head_of_all;
    expected.body_bytes = static_cast<std::uint32_t>(bytes.size() - log_frame_head_bytes);
    expected.checksum = head->checksum;
    CHECK(*head == expected);
    Notes notes;
    CHECK(visit_frame(body_of(bytes), own, notes));
    CHECK(notes.items == items);
    frame.clear();
  }
}

TEST_CASE("log frame: contexts take no more than is reserved for them") {
  constexpr std::uint64_t far = std::uint64_t{1} << 62;
  for (std::uint16_t origins = 0; origins < 4; ++origins) {
    Context context;
    for (std::uint16_t loop = 0; loop < origins; ++loop) {
      for (std::uint64_t i = 0; i <= loop; ++i)
        context.add({~NodeId{0}, 9, loop},
                    Interval{far + 4 * i * far / 64, far + 4 * i * far / 64});
    }
    FrameBuilder frame({1, 1, 0});
    frame.add_contexts({std::string(collection_name_bytes_max, 'n'), 1}, context, context);
    CHECK(frame.bytes() - log_frame_head_bytes <= log_contexts_bytes_max(context, context));
  }
}

TEST_CASE("log frame: records of one collection share a section") {
  FrameBuilder frame(own);
  const Record record = record_of(own, 1, "v");
  frame.add_record(users, "a", view_of(record), true);
  const std::size_t first = frame.bytes();
  frame.add_record(users, "b", view_of(record), true);
  const std::size_t second = frame.bytes() - first;
  CHECK(first - log_frame_head_bytes - second == 1 + users.name.size() + 12);
  CHECK(second == 1 + 1 + 8 + 1 + (1 + 1) + (1 + 1));
}

TEST_CASE("log frame: a very large turn does not keep its memory, and the next one works") {
  FrameBuilder frame(own);
  const Record large = record_of(own, 1, std::string(20U << 20, 'x'));
  frame.add_record(users, "large", view_of(large), true);
  CHECK(frame_is_intact(frame.finish(head_of_all)));
  frame.clear();
  frame.add_record(users, "small", view_of(record_of(own, 2, "v")), true);
  const Bytes bytes = frame.finish(head_of_all);
  CHECK(bytes.size() < 200);
  CHECK(frame_is_intact(bytes));
}

TEST_CASE("log frame: every single flipped bit is noticed") {
  std::string frame = short_frame();
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    CAPTURE(bit);
    char& byte = frame[bit / 8];
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
    CHECK_FALSE(frame_is_intact(frame));
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
  }
  CHECK(frame_is_intact(frame));
}

TEST_CASE("log frame: a cut one is no frame, and its body decodes only between sections") {
  const std::string frame = short_frame();
  const Bytes body = body_of(frame);
  std::vector<std::size_t> decoded;
  for (std::size_t size = 0; size < frame.size(); ++size) {
    CHECK_FALSE(frame_is_intact(Bytes(frame).substr(0, size)));
    CHECK(decode_frame_head(Bytes(frame).substr(0, size)).has_value() ==
          (size >= log_frame_head_bytes));
  }
  for (std::size_t size = 0; size <= body.size(); ++size) {
    Notes notes;
    if (visit_frame(body.substr(0, size), own, notes)) decoded.push_back(size);
  }
  CHECK(decoded == std::vector<std::size_t>{0, body.size() - (1 + 5 + 12 + 1), body.size()});
  CHECK_FALSE(frame_is_intact(frame + "x"));
}

TEST_CASE("log frame: a body with any byte changed decodes or is corrupt, never worse") {
  const std::string frame = short_frame();
  std::string body(body_of(frame));
  for (char& byte : body) {
    const char before = byte;
    for (int value = 0; value < 256; ++value) {
      byte = static_cast<char>(value);
      Notes notes;
      const Status status = visit_frame(body, own, notes);
      if (!status) CHECK(status.error().code == ErrorCode::corrupt);
    }
    byte = before;
  }
}

TEST_CASE("log segment: its header comes back, and every flipped bit or cut is noticed") {
  const SegmentHeader header{.log = {5, 2}, .node = 0xabcdef, .segment = 17, .salt = 99};
  std::string bytes = encode_segment_header(header);
  REQUIRE(bytes.size() == log_header_bytes);
  const auto again = decode_segment_header(bytes);
  REQUIRE(again);
  CHECK(again->log == header.log);
  CHECK(again->node == header.node);
  CHECK(again->segment == header.segment);
  CHECK(again->salt == header.salt);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    char& byte = bytes[bit / 8];
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
    const auto flipped = decode_segment_header(bytes);
    REQUIRE(!flipped);
    CHECK(flipped.error().code == ErrorCode::corrupt);
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
  }
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(!decode_segment_header(Bytes(bytes).substr(0, size)));
}
