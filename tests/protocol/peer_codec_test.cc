#include "protocol/peer_codec.h"

#include <set>
#include <tuple>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "storage/record_codec.h"

using namespace dhrt;
using namespace std::string_literals;

namespace {

// Every field has a value of its own, so that a field left out or swapped is noticed.
Member member() {
  return {.id = 101,
          .name = "alpha",
          .address = "10.0.0.1:7453",
          .zone = "zone",
          .epoch = 102,
          .incarnation = 103,
          .liveness = Liveness::suspect,
          .died = 104,
          .synced = {.epoch = 105, .incarnation = 106},
          .protocol_min = 2,
          .protocol_max = 3,
          .features = 107};
}

constexpr Origin origin{.node = 0x1122334455667788, .epoch = 7, .loop = 3};
constexpr Dot dot{.origin = {.node = 9, .epoch = 8, .loop = 7}, .sequence = 300};
const CollectionRef collection{.name = "users", .generation = 77};

Context context(std::uint64_t from) {
  Context result;
  result.add(origin, {from, from + 9});
  result.add(dot);
  return result;
}

KeyedRecord record(std::string key) {
  KeyedRecord keyed{.key = std::move(key), .record = {}};
  keyed.record.version = {.hlc = 0x123456789a0000, .node = 55};
  keyed.record.dot = {.origin = origin, .sequence = 42};
  keyed.record.deadline = 1'900'000'000'000;
  keyed.record.previous = dot;
  keyed.record.value = "value\0\xff"s;
  return keyed;
}

KeyedRecord tombstone(std::string key) {
  KeyedRecord keyed{.key = std::move(key), .record = {}};
  keyed.record.version = {.hlc = 0x223456789a0000, .node = dot.origin.node};
  keyed.record.dot = dot;
  keyed.record.deleted = true;
  return keyed;
}

Hello hello() {
  return {.member = member(),
          .belonging = {.id = {.high = 1, .low = 2}, .provisional = true},
          .start_nonce = 3,
          .nonce = 4};
}

std::vector<Message> messages() {
  return {
      hello(),
      HelloAck{.status = HelloStatus::duplicate_node,
               .explanation = "because",
               .hello = hello(),
               .proof = "proof\0"s},
      Ping{.sequence = 1, .target = 2, .root = 3, .updates = {member(), member()}},
      Ping{.sequence = 1, .target = 2, .catch_up = CatchUp{1, 2, 3, 4, 5}},
      Ack{.sequence = 1, .target = 2, .catch_up = CatchUp{.seconds_left = 1}},
      Ack{.sequence = 1,
          .target = 2,
          .root = 3,
          .updates = {member()},
          .clock = {.wall = 4, .fenced = true}},
      PingRequest{.sequence = 1, .target = 2, .updates = {}},
      Nack{.sequence = 1, .target = 2},
      Members{.wants_reply = true, .members = {member(), Member{}}},
      Join{.member = member()},
      Welcome{.belonging = {.id = {.high = 1, .low = 2}, .provisional = false},
              .members = {member()}},
      Leave{.node = 1, .incarnation = 2},
      Resynced{.node = 1, .attestation = {.epoch = 2, .incarnation = 3}, .attested_by = 4},
      Write{.collection = collection,
            .partition = 1,
            .records = batch_with({record("a"), tombstone("b\0"s)}),
            .flushed = context(5)},
      WriteAck{.tips = {{collection, 1, origin, 2}, {collection, 2, dot.origin, 3}}},
      Read{.request = 1, .collection = "users", .key = "k\0"s, .want = ReadWant::version},
      ReadReply{.request = 1, .synced = true, .record = record("").record},
      ReadReply{.request = 1, .synced = false, .record = std::nullopt},
      Pull{.request = 1,
           .collection = collection,
           .partition = 2,
           .excluded = context(3),
           .flushed = context(100),
           .from = dot,
           .bytes_max = 4},
      Pull{.request = 1, .collection = collection},
      PullReply{.request = 1,
                .collection = collection,
                .partition = 2,
                .vector = context(3),
                .flushed = context(100),
                .records = {record("a"), tombstone("b")},
                .next = dot,
                .unknown = true},
      PullReply{.request = 1, .collection = collection, .uncompared = true},
      Summary{.request = 1},
      SummaryReply{.request = 1, .digests = {{collection, 2}, {collection, 3}}, .doubts = {4}},
      DurableRead{.request = 1, .collection = "users", .key = "k", .want = ReadWant::version},
      DurableReadReply{.request = 1, .synced = true, .generation = 2, .record = record("").record},
      DurableReadReply{.request = 1,
                       .synced = false,
                       .generation = 0,
                       .record = std::nullopt,
                       .forgotten = {context(3), 4}},
      StoreRecord{.request = 1, .collection = collection, .record = record("a")},
      StoreReply{.request = 1, .stored = true},
      LayoutTold{.cluster = {1, 2}, .layout = {{3, 4}, {5, 6, 3}, {7}}, .wants_reply = true},
      VoteRequest{.cluster = {1, 2},
                  .voters = {3},
                  .ballot = {4, 5, 6},
                  .phase = VotePhase::hold,
                  .retired = {7, 8},
                  .let_through = {3}},
      VoteReply{.cluster = {1, 2},
                .number = 3,
                .ballot = {4, 5, 8},
                .phase = VotePhase::accept,
                .given = true,
                .other = {6, 7, 9}},
      Publish{.channel = "news\0"s, .payload = "a\r\n\0"s},
      Accuse{.node = 1, .incarnation = 2},
      Audit{.request = 1,
            .collection = collection,
            .partition = 2,
            .begins = true,
            .from = "from\0"s,
            .to = std::string(key_bytes_max, 't') + '\0',
            .fingerprint = {.count = 3, .sum_low = 4, .sum_high = 5},
            .flushed = context(6)},
      AuditReply{.request = 1,
                 .collection = collection,
                 .partition = 2,
                 .unknown = true,
                 .equal = true,
                 .vector = context(3),
                 .flushed = context(100),
                 .forgotten = context(200),
                 .forgotten_hlc = 4,
                 .with_values = true,
                 .batch = batch_with({record("a"), tombstone("b")}),
                 .next = "next",
                 .records_held = 5,
                 .hot = {"hot", "h\0"s}},
      AuditReply{.request = 1, .collection = collection, .records = {record("a"), tombstone("b")}},
      AuditReply{.request = 1, .collection = collection, .failed = true},
      Fetch{.request = 1, .collection = collection, .partition = 2, .keys = {"a", "b\0"s}},
      FetchReply{.request = 1,
                 .collection = collection,
                 .partition = 2,
                 .unknown = true,
                 .vector = context(3),
                 .done = 4,
                 .records = {record("a")}},
      Mend{.request = 1,
           .collection = collection,
           .partition = 2,
           .records = {record("a"), tombstone("b")},
           .captured = context(3),
           .vector = context(100),
           .forgotten = context(200),
           .forgotten_hlc = 4},
      Mended{.request = 1, .ok = true},
      Compared{.reply = true, .doubts = {2}},
      Report{.vectors = {{collection, context(3)}, {{.name = "words"}, context(4)}}},
  };
}

// The fields of each message, for comparison.
struct Fields {
  static auto of(const Hello& m) { return std::tie(m.member, m.belonging, m.start_nonce, m.nonce); }
  static auto of(const HelloAck& m) {
    return std::tuple_cat(std::tie(m.status, m.explanation, m.proof), of(m.hello));
  }
  static auto of(const Ping& m) {
    return std::tie(m.sequence, m.target, m.root, m.updates, m.layout);
  }
  static auto of(const Ack& m) {
    return std::tie(m.sequence, m.target, m.root, m.updates, m.clock, m.layout);
  }
  static auto of(const PingRequest& m) { return std::tie(m.sequence, m.target, m.updates); }
  static auto of(const Nack& m) { return std::tie(m.sequence, m.target); }
  static auto of(const Members& m) { return std::tie(m.wants_reply, m.members); }
  static auto of(const Join& m) { return std::tie(m.member); }
  static auto of(const Welcome& m) { return std::tie(m.belonging, m.members); }
  static auto of(const Leave& m) { return std::tie(m.node, m.incarnation); }
  static auto of(const Resynced& m) { return std::tie(m.node, m.attestation, m.attested_by); }
  static RecordBatch of(const SharedBatch& batch) { return batch ? *batch : RecordBatch(); }
  static auto of(const Write& m) {
    return std::make_tuple(m.collection, m.partition, of(m.records), m.flushed);
  }
  static auto of(const WriteAck& m) { return std::tie(m.tips, m.layout); }
  static auto of(const Read& m) { return std::tie(m.request, m.collection, m.key, m.want); }
  static auto of(const ReadReply& m) { return std::tie(m.request, m.synced, m.record); }
  static auto of(const Pull& m) {
    return std::tie(m.request, m.collection, m.partition, m.excluded, m.flushed, m.from,
                    m.bytes_max);
  }
  static auto of(const PullReply& m) {
    return std::tie(m.request, m.collection, m.partition, m.vector, m.flushed, m.records, m.next,
                    m.unknown, m.uncompared, m.unshown);
  }
  static auto of(const Summary& m) { return std::tie(m.request); }
  static auto of(const SummaryReply& m) { return std::tie(m.request, m.digests, m.doubts); }
  static auto of(const DurableRead& m) { return std::tie(m.request, m.collection, m.key, m.want); }
  static auto of(const DurableReadReply& m) {
    return std::tie(m.request, m.synced, m.generation, m.record, m.forgotten.dots, m.forgotten.hlc,
                    m.layout);
  }
  static auto of(const StoreRecord& m) { return std::tie(m.request, m.collection, m.record); }
  static auto of(const StoreReply& m) { return std::tie(m.request, m.stored, m.layout); }
  static auto of(const LayoutTold& m) { return std::tie(m.cluster, m.layout, m.wants_reply); }
  static auto of(const VoteRequest& m) {
    return std::tie(m.cluster, m.voters, m.ballot, m.phase, m.retired, m.let_through);
  }
  static auto of(const VoteReply& m) {
    return std::tie(m.cluster, m.number, m.ballot, m.phase, m.given, m.other);
  }
  static auto of(const Publish& m) { return std::tie(m.channel, m.payload); }
  static auto of(const Accuse& m) { return std::tie(m.node, m.incarnation); }
  static auto of(const Audit& m) {
    return std::tie(m.request, m.collection, m.partition, m.begins, m.from, m.to, m.fingerprint,
                    m.flushed);
  }
  static auto of(const AuditReply& m) {
    return std::make_tuple(m.request, m.collection, m.partition, m.unknown, m.failed, m.equal,
                           m.vector, m.flushed, m.forgotten, m.forgotten_hlc, m.with_values,
                           of(m.batch), m.records, m.next);
  }
  static auto of(const Fetch& m) { return std::tie(m.request, m.collection, m.partition, m.keys); }
  static auto of(const FetchReply& m) {
    return std::tie(m.request, m.collection, m.partition, m.unknown, m.vector, m.done, m.records);
  }
  static auto of(const Mend& m) {
    return std::tie(m.request, m.collection, m.partition, m.records, m.captured, m.vector,
                    m.forgotten, m.forgotten_hlc);
  }
  static auto of(const Mended& m) { return std::tie(m.request, m.ok); }
  static auto of(const Compared& m) { return std::tie(m.reply, m.doubts); }
  static auto of(const Report& m) {
    std::vector<std::pair<CollectionRef, Context>> vectors;
    for (const Report::Vector& vector : m.vectors)
      vectors.emplace_back(vector.collection, vector.durable);
    return vectors;
  }
};

bool equal(const Message& left, const Message& right) {
  if (left.index() != right.index()) return false;
  return std::visit(
      [&](const auto& known) {
        return Fields::of(known) == Fields::of(std::get<std::decay_t<decltype(known)>>(right));
      },
      left);
}

constexpr std::size_t clock_bytes = 9;
constexpr std::size_t retires_bytes = 8;
constexpr std::size_t layout_bytes = retires_bytes + 20;
constexpr std::size_t doubts_bytes = 8;
constexpr std::size_t no_context_bytes = 1;
constexpr std::size_t catch_up_bytes = 3 * 8 + 2 * 4;
constexpr std::size_t held_bytes = 8;

// What later versions have put behind what an earlier one sent; the last first.
std::vector<std::size_t> tails(const Message& message) {
  const auto list_bytes = [](std::size_t nodes) { return 1 + nodes * sizeof(NodeId); };
  const auto told_bytes = [](const std::optional<CatchUp>& catch_up) {
    return catch_up ? 1 + catch_up_bytes : std::size_t{1};
  };
  if (const auto* ack = std::get_if<Ack>(&message)) {
    const std::size_t told = told_bytes(ack->catch_up);
    return {told, told + retires_bytes, told + layout_bytes, told + layout_bytes + clock_bytes};
  }
  if (const auto* ping = std::get_if<Ping>(&message)) {
    const std::size_t told = told_bytes(ping->catch_up);
    return {told, told + retires_bytes, told + layout_bytes};
  }
  if (std::holds_alternative<WriteAck>(message)) return {retires_bytes, layout_bytes};
  if (const auto* reply = std::get_if<AuditReply>(&message)) {
    std::size_t hot = 1;
    for (const std::string& key : reply->hot)
      hot += 1 + key.size();
    return {hot, hot + held_bytes};
  }
  if (std::holds_alternative<DurableReadReply>(message) ||
      std::holds_alternative<StoreReply>(message))
    return {retires_bytes};
  if (std::holds_alternative<VoteReply>(message)) return {retires_bytes, 2 * retires_bytes};
  if (const auto* told = std::get_if<LayoutTold>(&message)) {
    const std::size_t retired = list_bytes(told->layout.retired.size());
    return {retired, retired + retires_bytes};
  }
  if (const auto* request = std::get_if<VoteRequest>(&message)) {
    const std::size_t let_through = list_bytes(request->let_through.size());
    const std::size_t retired = let_through + list_bytes(request->retired.size());
    return {let_through, retired, retired + retires_bytes};
  }
  if (std::holds_alternative<SummaryReply>(message)) return {doubts_bytes};
  if (std::holds_alternative<PullReply>(message)) return {no_context_bytes};
  return {};
}

bool is_end_of_a_version(const Message& message, std::size_t length) {
  const std::size_t rest = encode_message(message)->size() - length;
  const auto ends = tails(message);
  return std::ranges::find(ends, rest) != ends.end();
}

std::string name_of(const Message& message) {
  return std::string(to_text(type_of(message)));
}

}  // namespace

TEST_CASE("peer codec: every message comes back with every field") {
  std::set<std::size_t> seen;
  for (const Message& message : messages()) {
    CAPTURE(name_of(message));
    const auto payload = encode_message(message);
    REQUIRE(payload);
    const auto decoded = decode_message(type_of(message), *payload);
    REQUIRE(decoded);
    CHECK(equal(*decoded, message));
    CHECK(*encode_message(*decoded) == *payload);
    seen.insert(message.index());
  }
  CHECK(seen.size() == std::variant_size_v<Message>);
}

TEST_CASE("peer codec: what stands behind the known fields is ignored") {
  for (const Message& message : messages()) {
    CAPTURE(name_of(message));
    const auto decoded = decode_message(type_of(message), *encode_message(message) + "later");
    REQUIRE(decoded);
    CHECK(equal(*decoded, message));
  }
}

TEST_CASE("peer codec: a member from a later version is read, in the middle of a list") {
  const Member known = member();
  const LayoutStamp stamp{7, {8, 9, 10}};
  const std::string payload = *encode_message(Ping{.updates = {known, known}, .layout = stamp});
  // sequence, target, root and the count are 25 bytes; then each member tells its length, and what
  // stands behind them is what a ping without members ends with.
  const auto length = static_cast<std::size_t>(payload[25]);
  const std::size_t rest = encode_message(Ping{})->size() - 25;
  REQUIRE(payload.size() == 25 + 2 * (1 + length) + rest);
  std::string later = payload.substr(0, 25);
  for (int i = 0; i < 2; ++i) {
    later += static_cast<char>(length + 3);
    later += payload.substr(26, length) + "new";
  }
  later += payload.substr(payload.size() - rest);
  const auto decoded = decode_message(MessageType::ping, later);
  REQUIRE(decoded);
  CHECK(std::get<Ping>(*decoded).updates == std::vector{known, known});
  CHECK(std::get<Ping>(*decoded).layout == stamp);
}

TEST_CASE("peer codec: an answer of a node of an earlier version says nothing of its clock") {
  const Ack sent{.sequence = 1,
                 .target = 2,
                 .root = 3,
                 .updates = {member()},
                 .clock = {.wall = 4, .fenced = true}};
  const std::string payload = *encode_message(sent);
  const auto decoded =
      decode_message(MessageType::ack,
                     Bytes(payload).substr(0, encode_message(sent)->size() - tails(sent).back()));
  REQUIRE(decoded);
  const Ack& ack = std::get<Ack>(*decoded);
  CHECK(ack.updates == sent.updates);
  CHECK(ack.clock == ClockReading{});
}

TEST_CASE("peer codec: a node of an earlier version has no doubts") {
  const SummaryReply sent{.request = 1, .digests = {{collection, 2}}, .doubts = {4}};
  const std::string payload = *encode_message(sent);
  const auto decoded = decode_message(MessageType::summary_reply,
                                      Bytes(payload).substr(0, payload.size() - doubts_bytes));
  REQUIRE(decoded);
  CHECK(std::get<SummaryReply>(*decoded).digests == sent.digests);
  CHECK(std::get<SummaryReply>(*decoded).doubts == Doubts{});
}

TEST_CASE("peer codec: nodes of earlier versions may do without all that levels say") {
  for (const MessageType type :
       {MessageType::durable_read, MessageType::durable_read_reply, MessageType::store_record,
        MessageType::store_reply, MessageType::layout, MessageType::vote_request,
        MessageType::vote_reply})
    CHECK_MESSAGE(is_optional(type), std::string(to_text(type)));
  for (const MessageType type : {MessageType::ping, MessageType::write, MessageType::publish})
    CHECK_FALSE_MESSAGE(is_optional(type), std::string(to_text(type)));
}

TEST_CASE("peer codec: every truncation is an error") {
  for (const Message& message : messages()) {
    CAPTURE(name_of(message));
    const std::string payload = *encode_message(message);
    for (std::size_t length = 0; length < payload.size(); ++length) {
      CAPTURE(length);
      if (is_end_of_a_version(message, length)) continue;
      const auto decoded = decode_message(type_of(message), Bytes(payload).substr(0, length));
      REQUIRE_FALSE(decoded);
      CHECK(decoded.error().code == ErrorCode::corrupt);
      CHECK(decoded.error().message.find(name_of(message)) != std::string::npos);
    }
  }
}

TEST_CASE("peer codec: no flipped byte makes a decoder fail otherwise than by an error") {
  for (const Message& message : messages()) {
    const std::string payload = *encode_message(message);
    for (std::size_t at = 0; at < payload.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        std::string bad = payload;
        bad[at] = static_cast<char>(bad[at] ^ flip);
        const auto decoded = decode_message(type_of(message), bad);
        if (decoded) CHECK(encode_message(*decoded));
      }
    }
  }
}

TEST_CASE("peer codec: a field out of range is an error") {
  std::string status = *encode_message(HelloAck{});
  status[0] = '\x7f';
  CHECK_FALSE(decode_message(MessageType::hello_ack, status));
  std::string want = *encode_message(Read{});
  want.back() = '\x02';
  CHECK_FALSE(decode_message(MessageType::read, want));
  const auto reads = [](const Message& message) {
    return decode_message(type_of(message), *encode_message(message)).has_value();
  };
  CHECK(reads(Read{.key = std::string(key_bytes_max, 'k')}));
  CHECK_FALSE(reads(Read{.key = std::string(key_bytes_max + 1, 'k')}));
  CHECK_FALSE(reads(Read{.collection = std::string(collection_name_bytes_max + 1, 'c')}));
  CHECK_FALSE(reads(Join{{.name = std::string(member_text_bytes_max + 1, 'n')}}));
}

TEST_CASE("peer codec: a count that the payload cannot hold reserves nothing") {
  // A ping that claims 2^60 updates.
  const std::string claim("\x80\x80\x80\x80\x80\x80\x80\x80\x10", 9);
  CHECK_FALSE(decode_message(MessageType::ping, std::string(24, '\0') + claim));
  CHECK_FALSE(decode_message(MessageType::write, claim));
}

TEST_CASE("peer codec: a record whose value is damaged is still known by its dot") {
  const Message message =
      Write{.collection = collection, .partition = 0, .records = batch_with({record("a")})};
  std::string payload = *encode_message(message);
  const std::size_t value = payload.find("value");
  REQUIRE(value != std::string::npos);
  payload[value] = 'V';
  const auto decoded = decode_message(MessageType::write, payload);
  REQUIRE(decoded);
  const Record damaged = std::get<Write>(*decoded).records->records().at(0).record;
  CHECK(damaged.damaged);
  CHECK(damaged.dot == record("a").record.dot);
}

TEST_CASE("peer codec: an unknown type is skipped only if it may be") {
  for (const int type : {0, 20, 25, 200, 255}) {
    CAPTURE(type);
    Frame frame{.head = {.type = static_cast<std::uint8_t>(type)}, .payload = "anything"};
    CHECK_FALSE(decode_message(frame));
    frame.head.flags = frame_optional;
    const auto skipped = decode_message(frame);
    REQUIRE(skipped);
    CHECK_FALSE(*skipped);
  }
}

TEST_CASE("peer codec: a known type in an optional frame is read, and its errors count") {
  const std::string payload = *encode_message(Nack{.sequence = 1, .target = 2});
  Frame frame{
      .head = {.type = static_cast<std::uint8_t>(MessageType::nack), .flags = frame_optional},
      .payload = payload};
  const auto decoded = decode_message(frame);
  REQUIRE(decoded);
  REQUIRE(*decoded);
  CHECK(std::get<Nack>(**decoded).target == 2);
  frame.payload = "";
  CHECK_FALSE(decode_message(frame));
}

TEST_CASE("peer codec: more origins than a table can name cannot be sent at once") {
  PullReply reply{.collection = collection};
  for (std::uint32_t epoch = 1; epoch <= OriginTable::origins_max + 1; ++epoch) {
    reply.records.push_back(tombstone("k"));
    reply.records.back().record.dot.origin.epoch = epoch;
  }
  const auto payload = encode_message(reply);
  REQUIRE_FALSE(payload);
  CHECK(payload.error().code == ErrorCode::full);
}
