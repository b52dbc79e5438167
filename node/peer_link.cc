#include "node/peer_link.h"

#include <utility>

#include "protocol/peer_codec.h"

namespace dhrt {

PeerLink::PeerLink(std::unique_ptr<StreamConnection> connection, Options options, Owner& owner,
                   NodeFigures& figures)
    : options_(std::move(options)),
      owner_(owner),
      figures_(figures),
      connection_(std::move(connection)),
      reader_(options_.keys != nullptr ? link_frame_bytes_max : greeting_bytes_max) {
  if (options_.keys != nullptr)
    handshake_.emplace(*options_.keys, options_.link_class, options_.dialled);
}

void PeerLink::start() {
  connection_->set_handler(this);
  connection_->keep_alive();
  if (options_.dialled) {
    std::string first;
    append_preface(first, options_.link_class);
    if (handshake_) first += handshake_->begin();
    connection_->write(std::move(first));
  }
  connection_->start_reading();
}

void PeerLink::count(Counter& all, Counter& bulk, std::size_t bytes) const {
  all += bytes;
  if (options_.link_class == LinkClass::bulk) bulk += bytes;
}

void PeerLink::send(MessageType type, std::uint32_t cluster_tag, Bytes payload) {
  if (finished_) return;
  // The first two are asked for again: writes by their dots, slices by whoever pulls, one at a
  // time.
  // Reads end with their time.
  const bool droppable = type == MessageType::write || type == MessageType::pull_reply ||
                         type == MessageType::publish || type == MessageType::read_reply ||
                         type == MessageType::durable_read_reply ||
                         type == MessageType::store_record;
  if (droppable && unsent() > unsent_bytes_max) {
    ++figures_.replication_dropped_total;
    return;
  }
  std::string frame;
  frame.reserve(frame_head_bytes + payload.size() + frame_mac_bytes);
  const PeerFrameHead head{.type = static_cast<std::uint8_t>(type),
                           .flags = is_optional(type) ? frame_optional : std::uint16_t{0},
                           .cluster_tag = cluster_tag,
                           .sequence = ++sequence_};
  if (sealed_)
    append_frame(frame, head, payload, *sealed_);
  else
    append_frame(frame, head, payload);
  count(figures_.replication_bytes_sent, figures_.replication_bulk_bytes_sent, frame.size());
  connection_->write(std::move(frame));
}

void PeerLink::finish() {
  if (finished_) return;
  finished_ = true;
  connection_->shutdown();
}

void PeerLink::received(Bytes bytes) {
  if (finished_) return;
  count(figures_.replication_bytes_received, figures_.replication_bulk_bytes_received,
        bytes.size());
  reader_.feed(bytes);
  // The owner keeps a link that it finished until the turn is over, so `this` stays valid.
  while (!finished_) {
    auto frame = reader_.next();
    if (!frame) return owner_.link_malformed(*this, frame.error().message);
    if (!*frame) return note_coming();
    coming_told_bytes_ = 0;
    if (take_own_frame(**frame)) continue;
    auto message = decode_message(**frame);
    if (!message) return owner_.link_malformed(*this, message.error().message);
    if (*message) owner_.link_received(*this, std::move(**message));
  }
}

// Whoever was called may refuse, whatever is asked of it here.
bool PeerLink::take_own_frame(const Frame& frame) {
  const auto type = static_cast<LinkFrame>(frame.head.type);
  if (type == LinkFrame::refusal && options_.dialled) {
    if (const auto refusal = parse_refusal(frame.payload))
      owner_.link_refused(*this, *refusal, false);
    else
      owner_.link_malformed(*this, refusal.error().message);
    return true;
  }
  if (!ready()) {
    shake_hands(frame);
    return true;
  }
  if (type != LinkFrame::challenge || handshake_) return false;
  connection_->write(refusal_frame(LinkRefusal::no_key));
  owner_.link_refused(*this, LinkRefusal::no_key, true);
  return true;
}

void PeerLink::shake_hands(const Frame& frame) {
  auto step = handshake_->take(frame);
  if (!step) return owner_.link_malformed(*this, step.error().message);
  if (!step->say.empty()) connection_->write(std::move(step->say));
  if (step->refused) return owner_.link_refused(*this, *step->refused, true);
  if (!step->done) return;
  PeerHandshake::Seals seals = handshake_->make_seals();
  sealed_ = std::move(seals.sending);
  reader_.expect_sealed(std::move(seals.receiving));
  reader_.set_payload_bytes_max(greeting_bytes_max);
  owner_.link_ready(*this);
}

void PeerLink::note_coming() {
  if (reader_.unfinished_bytes() < coming_told_bytes_ + coming_bytes_step) return;
  coming_told_bytes_ = reader_.unfinished_bytes();
  owner_.link_coming(*this);
}

void PeerLink::ended() {
  owner_.link_ended(*this, "closed by the peer");
}

void PeerLink::failed(const std::string& reason) {
  owner_.link_ended(*this, reason);
}

}  // namespace dhrt
