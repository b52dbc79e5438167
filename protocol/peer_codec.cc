#include "protocol/peer_codec.h"

#include <utility>

#include "protocol/peer_archive.h"

namespace dhrt {

namespace peer {

// In peer:: so that the archives find them by their own namespace.
void fields(auto& archive, Is<Attestation> auto& attestation) {
  archive.u32(attestation.epoch);
  archive.u64(attestation.incarnation);
}

void fields(auto& archive, Is<Origin> auto& origin) {
  archive.u64(origin.node);
  archive.u32(origin.epoch);
  archive.u16(origin.loop);
}

void fields(auto& archive, Is<Dot> auto& dot) {
  fields(archive, dot.origin);
  archive.u64(dot.sequence);
}

void fields(auto& archive, Is<CollectionRef> auto& collection) {
  archive.text(collection.name, collection_name_bytes_max);
  archive.u32(collection.generation);
}

void fields(auto& archive, Is<Belonging> auto& belonging) {
  archive.u64(belonging.id.high);
  archive.u64(belonging.id.low);
  archive.boolean(belonging.provisional);
}

void fields(auto& archive, Is<KeyedRecord> auto& keyed) {
  archive.text(keyed.key, key_bytes_max);
  archive.record(keyed.key, keyed.record);
}

// Where a message names no key; only the asker knows it.
void fields(auto& archive, Is<Record> auto& record) {
  archive.record("", record);
}

// What stands in lists, or in front of other fields, and grows in later versions tells its length.
void fields(auto& archive, Is<Member> auto& member) {
  archive.sized(member);
}

void inner_fields(auto& archive, Is<Member> auto& member) {
  archive.u64(member.id);
  archive.text(member.name, member_text_bytes_max);
  archive.text(member.address, member_text_bytes_max);
  archive.text(member.zone, member_text_bytes_max);
  archive.u32(member.epoch);
  archive.u64(member.incarnation);
  archive.enumeration(member.liveness, Liveness::evicted);
  archive.u64(member.died);
  fields(archive, member.synced);
  archive.u8(member.protocol_min);
  archive.u8(member.protocol_max);
  archive.u64(member.features);
}

void fields(auto& archive, Is<Hello> auto& hello) {
  archive.sized(hello);
}

void inner_fields(auto& archive, Is<Hello> auto& hello) {
  fields(archive, hello.member);
  fields(archive, hello.belonging);
  archive.u64(hello.start_nonce);
  archive.u64(hello.nonce);
}

void fields(auto& archive, Is<HelloAck> auto& ack) {
  archive.enumeration(ack.status, HelloStatus::not_accepting);
  archive.text(ack.explanation, explanation_bytes_max);
  fields(archive, ack.hello);
  archive.text(ack.proof, proof_bytes_max);
}

// Whom it retires stands behind everything else: versions before that do not know of it.
void fields(auto& archive, Is<Ballot> auto& ballot) {
  archive.u64(ballot.round);
  archive.u64(ballot.node);
}

void fields(auto& archive, Is<LayoutStamp> auto& stamp) {
  archive.u32(stamp.number);
  fields(archive, stamp.next);
  archive.tail(stamp.next.retires);
}

void fields(auto& archive, Is<std::vector<NodeId>> auto& nodes) {
  archive.list(nodes);
}

void fields(auto& archive, Is<NodeId> auto& node) {
  archive.u64(node);
}

void fields(auto& archive, Is<Context> auto& context) {
  archive.context(context);
}

void fields(auto& archive, Is<ClusterId> auto& id) {
  archive.u64(id.high);
  archive.u64(id.low);
}

void fields(auto& archive, Is<CatchUp> auto& catch_up) {
  archive.u64(catch_up.records);
  archive.u64(catch_up.records_expected);
  archive.u64(catch_up.bytes);
  archive.u32(catch_up.collections_left);
  archive.u32(catch_up.seconds_left);
}

void fields(auto& archive, Is<std::optional<CatchUp>> auto& catch_up) {
  archive.optional(catch_up);
}

void fields(auto& archive, Is<Ping> auto& ping) {
  archive.u64(ping.sequence);
  archive.u64(ping.target);
  archive.u64(ping.root);
  archive.list(ping.updates);
  archive.tail(ping.layout);
  archive.tail(ping.catch_up);
}

void fields(auto& archive, Is<ClockReading> auto& reading) {
  archive.u64(reading.wall);
  archive.boolean(reading.fenced);
}

void fields(auto& archive, Is<Ack> auto& ack) {
  archive.u64(ack.sequence);
  archive.u64(ack.target);
  archive.u64(ack.root);
  archive.list(ack.updates);
  archive.tail(ack.clock);
  archive.tail(ack.layout);
  archive.tail(ack.catch_up);
}

void fields(auto& archive, Is<PingRequest> auto& request) {
  archive.u64(request.sequence);
  archive.u64(request.target);
  archive.list(request.updates);
}

void fields(auto& archive, Is<Nack> auto& nack) {
  archive.u64(nack.sequence);
  archive.u64(nack.target);
}

void fields(auto& archive, Is<Members> auto& members) {
  archive.boolean(members.wants_reply);
  archive.list(members.members);
}

void fields(auto& archive, Is<Join> auto& join) {
  fields(archive, join.member);
}

void fields(auto& archive, Is<Welcome> auto& welcome) {
  fields(archive, welcome.belonging);
  archive.list(welcome.members);
}

void fields(auto& archive, Is<Leave> auto& leave) {
  archive.u64(leave.node);
  archive.u64(leave.incarnation);
}

void fields(auto& archive, Is<Resynced> auto& resynced) {
  archive.u64(resynced.node);
  fields(archive, resynced.attestation);
  archive.u64(resynced.attested_by);
}

void fields(auto& archive, Is<Write> auto& write) {
  archive.origins_of(true, write.records);
  fields(archive, write.collection);
  archive.u16(write.partition);
  archive.batch(write.records);
  archive.context(write.flushed);
}

void fields(auto& archive, Is<WriteAck::Tip> auto& tip) {
  fields(archive, tip.collection);
  archive.u16(tip.partition);
  fields(archive, tip.origin);
  archive.u64(tip.sequence);
}

void fields(auto& archive, Is<WriteAck> auto& ack) {
  archive.list(ack.tips);
  archive.tail(ack.layout);
}

void fields(auto& archive, Is<Read> auto& read) {
  archive.u64(read.request);
  archive.text(read.collection, collection_name_bytes_max);
  archive.text(read.key, key_bytes_max);
  archive.enumeration(read.want, ReadWant::version);
}

void fields(auto& archive, Is<ReadReply> auto& reply) {
  archive.origins();
  archive.u64(reply.request);
  archive.boolean(reply.synced);
  archive.optional(reply.record);
}

void fields(auto& archive, Is<Pull> auto& pull) {
  archive.u64(pull.request);
  fields(archive, pull.collection);
  archive.u16(pull.partition);
  archive.context(pull.excluded);
  archive.context(pull.flushed);
  archive.optional(pull.from);
  archive.u32(pull.bytes_max);
}

void fields(auto& archive, Is<PullReply> auto& reply) {
  archive.origins();
  archive.u64(reply.request);
  fields(archive, reply.collection);
  archive.u16(reply.partition);
  archive.context(reply.vector);
  archive.context(reply.flushed);
  archive.list(reply.records);
  archive.optional(reply.next);
  archive.booleans(reply.unknown, reply.uncompared);
  archive.tail(reply.unshown);
}

void fields(auto& archive, Is<Doubts> auto& doubts) {
  archive.u64(doubts.count);
}

void fields(auto& archive, Is<Fingerprint> auto& fingerprint) {
  archive.u64(fingerprint.count);
  archive.u64(fingerprint.sum_low);
  archive.u64(fingerprint.sum_high);
}

// A key, or a bound, which may be the least key behind a longest one.
void fields(auto& archive, Is<std::string> auto& key) {
  archive.text(key, key_bytes_max + 1);
}

void fields(auto& archive, Is<Audit> auto& audit) {
  archive.u64(audit.request);
  fields(archive, audit.collection);
  archive.u16(audit.partition);
  archive.boolean(audit.begins);
  fields(archive, audit.from);
  archive.optional(audit.to);
  fields(archive, audit.fingerprint);
  archive.context(audit.flushed);
}

void fields(auto& archive, Is<std::vector<std::string>> auto& keys) {
  archive.list(keys);
}

void fields(auto& archive, Is<AuditReply> auto& reply) {
  archive.origins_of(reply.with_values, reply.batch);
  archive.u64(reply.request);
  fields(archive, reply.collection);
  archive.u16(reply.partition);
  archive.booleans(reply.unknown, reply.failed);
  archive.boolean(reply.equal);
  archive.context(reply.vector);
  archive.context(reply.flushed);
  archive.context(reply.forgotten);
  archive.u64(reply.forgotten_hlc);
  archive.boolean(reply.with_values);
  if (reply.with_values)
    archive.batch(reply.batch);
  else
    archive.list(reply.records);
  archive.optional(reply.next);
  archive.tail(reply.records_held);
  archive.tail(reply.hot);
}

void fields(auto& archive, Is<Fetch> auto& fetch) {
  archive.u64(fetch.request);
  fields(archive, fetch.collection);
  archive.u16(fetch.partition);
  archive.list(fetch.keys);
}

void fields(auto& archive, Is<FetchReply> auto& reply) {
  archive.origins();
  archive.u64(reply.request);
  fields(archive, reply.collection);
  archive.u16(reply.partition);
  archive.boolean(reply.unknown);
  archive.context(reply.vector);
  archive.u32(reply.done);
  archive.list(reply.records);
}

void fields(auto& archive, Is<Mend> auto& mend) {
  archive.origins();
  archive.u64(mend.request);
  fields(archive, mend.collection);
  archive.u16(mend.partition);
  archive.list(mend.records);
  archive.context(mend.captured);
  archive.context(mend.vector);
  archive.context(mend.forgotten);
  archive.u64(mend.forgotten_hlc);
}

void fields(auto& archive, Is<Mended> auto& mended) {
  archive.u64(mended.request);
  archive.boolean(mended.ok);
}

void fields(auto& archive, Is<Compared> auto& compared) {
  archive.boolean(compared.reply);
  fields(archive, compared.doubts);
}

void fields(auto& archive, Is<Report::Vector> auto& vector) {
  fields(archive, vector.collection);
  archive.context(vector.durable);
}

void fields(auto& archive, Is<Report> auto& report) {
  archive.list(report.vectors);
}

void fields(auto& archive, Is<Summary> auto& summary) {
  archive.u64(summary.request);
}

void fields(auto& archive, Is<CollectionDigest> auto& digest) {
  fields(archive, digest.collection);
  archive.u64(digest.hash);
}

void fields(auto& archive, Is<SummaryReply> auto& reply) {
  archive.u64(reply.request);
  archive.list(reply.digests);
  archive.tail(reply.doubts);
}

void fields(auto& archive, Is<Publish> auto& publish) {
  archive.text(publish.channel, channel_bytes_max);
  archive.text(publish.payload, value_bytes_ceiling);
}

void fields(auto& archive, Is<Accuse> auto& accuse) {
  archive.u64(accuse.node);
  archive.u64(accuse.incarnation);
}

void fields(auto& archive, Is<DurableRead> auto& read) {
  archive.u64(read.request);
  archive.text(read.collection, collection_name_bytes_max);
  archive.text(read.key, key_bytes_max);
  archive.enumeration(read.want, ReadWant::version);
}

void fields(auto& archive, Is<DurableReadReply> auto& reply) {
  archive.origins();
  archive.u64(reply.request);
  archive.boolean(reply.synced);
  archive.u32(reply.generation);
  archive.optional(reply.record);
  archive.context(reply.forgotten.dots);
  archive.u64(reply.forgotten.hlc);
  fields(archive, reply.layout);
}

void fields(auto& archive, Is<StoreRecord> auto& store) {
  archive.origins();
  archive.u64(store.request);
  fields(archive, store.collection);
  fields(archive, store.record);
}

void fields(auto& archive, Is<StoreReply> auto& reply) {
  archive.u64(reply.request);
  archive.boolean(reply.stored);
  fields(archive, reply.layout);
}

void fields(auto& archive, Is<LayoutTold> auto& told) {
  fields(archive, told.cluster);
  archive.list(told.layout.voters);
  fields(archive, told.layout.next);
  archive.boolean(told.wants_reply);
  archive.tail(told.layout.next.retires);
  archive.tail(told.layout.retired);
}

void fields(auto& archive, Is<VoteRequest> auto& request) {
  fields(archive, request.cluster);
  archive.list(request.voters);
  fields(archive, request.ballot);
  archive.enumeration(request.phase, VotePhase::hold);
  archive.tail(request.ballot.retires);
  archive.tail(request.retired);
  archive.tail(request.let_through);
}

void fields(auto& archive, Is<VoteReply> auto& reply) {
  fields(archive, reply.cluster);
  archive.u32(reply.number);
  fields(archive, reply.ballot);
  archive.enumeration(reply.phase, VotePhase::hold);
  archive.boolean(reply.given);
  fields(archive, reply.other);
  archive.tail(reply.ballot.retires);
  archive.tail(reply.other.retires);
}

}  // namespace peer

namespace {

template <typename T>
Result<Message> decode(Bytes payload) {
  peer::PayloadReader reader(payload);
  T message;
  fields(reader, message);
  if (reader.ok()) return Message(std::move(message));
  const std::string name(to_text(type_of(Message(T()))));
  return fail(ErrorCode::corrupt, "peer message '" + name + "' does not decode: " + reader.why());
}

using Decode = Result<Message> (*)(Bytes);

// Null: this version does not know the type.
Decode decoder_of(std::uint8_t type) {
  switch (static_cast<MessageType>(type)) {
    case MessageType::hello:
      return decode<Hello>;
    case MessageType::hello_ack:
      return decode<HelloAck>;
    case MessageType::ping:
      return decode<Ping>;
    case MessageType::ack:
      return decode<Ack>;
    case MessageType::ping_request:
      return decode<PingRequest>;
    case MessageType::nack:
      return decode<Nack>;
    case MessageType::members:
      return decode<Members>;
    case MessageType::join:
      return decode<Join>;
    case MessageType::welcome:
      return decode<Welcome>;
    case MessageType::leave:
      return decode<Leave>;
    case MessageType::resynced:
      return decode<Resynced>;
    case MessageType::write:
      return decode<Write>;
    case MessageType::write_ack:
      return decode<WriteAck>;
    case MessageType::read:
      return decode<Read>;
    case MessageType::read_reply:
      return decode<ReadReply>;
    case MessageType::pull:
      return decode<Pull>;
    case MessageType::pull_reply:
      return decode<PullReply>;
    case MessageType::summary:
      return decode<Summary>;
    case MessageType::summary_reply:
      return decode<SummaryReply>;
    case MessageType::publish:
      return decode<Publish>;
    case MessageType::accuse:
      return decode<Accuse>;
    case MessageType::durable_read:
      return decode<DurableRead>;
    case MessageType::durable_read_reply:
      return decode<DurableReadReply>;
    case MessageType::store_record:
      return decode<StoreRecord>;
    case MessageType::store_reply:
      return decode<StoreReply>;
    case MessageType::layout:
      return decode<LayoutTold>;
    case MessageType::vote_request:
      return decode<VoteRequest>;
    case MessageType::vote_reply:
      return decode<VoteReply>;
    case MessageType::audit:
      return decode<Audit>;
    case MessageType::audit_reply:
      return decode<AuditReply>;
    case MessageType::fetch:
      return decode<Fetch>;
    case MessageType::fetch_reply:
      return decode<FetchReply>;
    case MessageType::mend:
      return decode<Mend>;
    case MessageType::mended:
      return decode<Mended>;
    case MessageType::compared:
      return decode<Compared>;
    case MessageType::report:
      return decode<Report>;
    case MessageType::hot:
    case MessageType::forward:
    case MessageType::forward_reply:
    case MessageType::config:
      break;
  }
  return nullptr;
}

tl::unexpected<Error> unknown_type(std::uint8_t type) {
  return fail(ErrorCode::corrupt, "peer message type " + std::to_string(type) +
                                      " is unknown and not optional; upgrade this node");
}

}  // namespace

Result<std::string> encode_message(const Message& message) {
  peer::PayloadWriter writer;
  std::visit([&](const auto& known) { fields(writer, known); }, message);
  return writer.finish();
}

Result<Message> decode_message(MessageType type, Bytes payload) {
  const auto number = static_cast<std::uint8_t>(type);
  const Decode decode_payload = decoder_of(number);
  if (decode_payload == nullptr) return unknown_type(number);
  return decode_payload(payload);
}

Result<std::optional<Message>> decode_message(const Frame& frame) {
  const bool optional = (frame.head.flags & frame_optional) != 0;
  if (optional && decoder_of(frame.head.type) == nullptr) return std::optional<Message>();
  auto message = decode_message(static_cast<MessageType>(frame.head.type), frame.payload);
  if (!message) return tl::unexpected(std::move(message.error()));
  return std::optional<Message>(std::move(*message));
}

}  // namespace dhrt
