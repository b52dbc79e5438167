// One connection to a peer: its preface, its handshake, its frames, its queue.
//
// Where there is a cluster key, both ends show that they have it before anything else is said
// (PeerHandshake), and frames are sealed from then on: what was changed, left out, repeated or
// taken from another link ends this one. Somebody who cannot show a key hears one frame, why, and
// is held to frames of 4 KiB meanwhile; how long is the owner's to limit.
//
// A peer that does not read loses live writes and slices of its pulls (the core's anti-entropy
// brings them later); nothing else is ever dropped. What a peer sends that is no frame ends the
// link. Units: bytes.   Threads: loop thread only.
#pragma once

#include <memory>
#include <string>

#include "cluster/actions.h"
#include "node/figures.h"
#include "node/peer_handshake.h"
#include "node/stream_connection.h"
#include "protocol/peer_frame.h"

namespace dhrt {

class PeerLink final : private StreamConnection::Handler {
 public:
  class Owner {
   public:
    Owner() = default;
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    virtual ~Owner() = default;
    // The handshake is done; nothing was received before. Not called without one.
    virtual void link_ready(PeerLink& link) = 0;
    // One end wants no link: this node (`ours`), or the peer.
    virtual void link_refused(PeerLink& link, LinkRefusal refusal, bool ours) = 0;
    virtual void link_received(PeerLink& link, Message message) = 0;
    // `coming_bytes_step` more of a message have come.
    virtual void link_coming(PeerLink& link) = 0;
    virtual void link_ended(PeerLink& link, const std::string& reason) = 0;
    // What came is no frame or no message; the link is of no use any more.
    virtual void link_malformed(PeerLink& link, const std::string& reason) = 0;
  };
  struct Options {
    ConnectionId id = 0;
    LinkClass link_class = LinkClass::control;
    bool dialled = false;
    std::string address{};              // That was dialled.
    const ClusterKeys* keys = nullptr;  // Null: there is none. Outlives the link.
    Time now;
  };
  // What waits to be sent to one peer before live writes and slices for it are dropped.
  static constexpr std::size_t unsent_bytes_max = std::size_t{16} << 20;

  // A link on which less of a message comes within the core's patience (10 s) counts as silent, so
  // that nobody holds a pull open with a byte now and then.
  static constexpr std::size_t coming_bytes_step = std::size_t{64} << 10;

  // `owner` and `figures` outlive the link.
  PeerLink(std::unique_ptr<StreamConnection> connection, Options options, Owner& owner,
           NodeFigures& figures);
  // Begins to read; a dialled link sends its preface, and its challenge.
  void start();
  // Messages may be sent: there is no handshake, or it is done.
  bool ready() const { return !handshake_ || sealed_ != nullptr; }
  // What both ends have shown, or are at it; null: nothing.
  const ClusterKey* key() const { return handshake_ ? handshake_->key().get() : nullptr; }
  bool tls_failed() const { return connection_->tls_failed(); }
  // Bytes that came from the peer before the link took over its connection.
  void take(Bytes bytes) { received(bytes); }
  // The peer is a member: its frames may be as large as any node of any --max-value-bytes makes
  // them. Before, greeting_bytes_max holds.
  void greeted() { reader_.set_payload_bytes_max(frame_bytes_max(value_bytes_ceiling)); }
  void send(MessageType type, std::uint32_t cluster_tag, Bytes payload);
  // Sends what is queued, hears nothing more.
  void finish();

  ConnectionId id() const { return options_.id; }
  LinkClass link_class() const { return options_.link_class; }
  bool dialled() const { return options_.dialled; }
  const std::string& address() const { return options_.address; }
  Time since() const { return options_.now; }
  bool finished() const { return finished_; }
  std::size_t unsent() const { return connection_->unsent(); }
  std::string local_host() const { return connection_->local_host(); }
  std::string remote_host() const { return connection_->remote_host(); }

 private:
  void received(Bytes bytes) override;
  void ended() override;
  void failed(const std::string& reason) override;
  void drained() override {}
  // False: it is no frame of the link itself.
  bool take_own_frame(const Frame& frame);
  void shake_hands(const Frame& frame);
  void note_coming();
  void count(Counter& all, Counter& bulk, std::size_t bytes) const;

  Options options_;
  Owner& owner_;
  NodeFigures& figures_;
  std::unique_ptr<StreamConnection> connection_;
  FrameReader reader_;
  std::optional<PeerHandshake> handshake_;
  std::unique_ptr<FrameSeal> sealed_;  // Of what is sent.
  std::size_t coming_told_bytes_ = 0;  // Of the message that is coming.
  std::uint64_t sequence_ = 0;
  bool finished_ = false;
};

}  // namespace dhrt
