// Runs the cluster core: feeds it what happens, one input at a time, and does what it wants done.
//
// Intuition: doing one thing (a read of the store, a closed link) can bring the next input, so
// inputs wait in a queue and are worked off until none is left; nothing is ever done inside the
// core's step, and nothing recurses.
//
// Threads: loop thread only.   Errors: none; peers are never trusted to be right.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/core.h"
#include "node/dial.h"
#include "node/figures.h"
#include "node/handoff_pacer.h"
#include "node/peer_link.h"
#include "node/refused_peers.h"
#include "node/store_driver.h"

namespace dhrt {

class ClusterDriver final : public PeerLink::Owner {
 public:
  struct Options {
    Duration handshake_timeout{};
    Duration join_delay_max{};          // 0: who joins gets what it asks for at once.
    const ClusterKeys* keys = nullptr;  // Null: links are made without; else there is one.
    TlsContext* tls = nullptr;          // Null: links are plain.
  };
  // Callers that have not greeted yet; of more, those that came first are cut off.
  static constexpr std::size_t strangers_max = 256;
  // What concerns others than peers and store.
  struct Hooks {
    std::function<void(FanoutReply)> fanout_reply;
    std::function<void(Waited)> waited;
    std::function<void(LevelReached)> level_reached;
    std::function<void(Publish)> published;
    // What is durable of a collection is another than before, or it is gone.
    std::function<void(const std::string& collection)> changed;
    std::function<void(Persist)> persist;
    // True when it is on the disk, with all that was persisted before.
    std::function<bool(LayoutNotes)> note_layout;
    // Of clients, that the node has served since it started.
    std::function<std::uint64_t()> requests;
    std::function<void()> left;
  };

  // Everything given outlives the driver.
  ClusterDriver(EventLoop& loop, Core& core, StoreDriver& store, NodeFigures& figures,
                const Options& options, Hooks hooks);

  // Tells the core what the store holds; once, first.
  void announce();
  void input(Input input);
  // Every 50 ms.
  void tick();
  // After Store::commit(): tells the core what became durable; the result is up to where.
  Position collect();
  // A caller turned out to be a peer; `rest` came behind its preface.
  void accept(std::unique_ptr<StreamConnection> connection, LinkClass link_class, Bytes rest);
  // The keys of the options are others now: links by one that is no more are made anew.
  void keys_changed();
  // The last peer that was called did not want this node for want of its key.
  bool key_was_refused() const { return key_was_refused_; }

  const Core& core() const { return core_; }
  // Bytes that wait to be sent on links, those being closed included.
  std::size_t unsent() const;

 private:
  struct Dialling {
    Connect connect;
    std::unique_ptr<Dial> dial;
  };
  void link_ready(PeerLink& link) override;
  void link_refused(PeerLink& link, LinkRefusal refusal, bool ours) override;
  void link_received(PeerLink& link, Message message) override;
  void link_coming(PeerLink& link) override { input(MessageComing{link.id()}); }
  void link_ended(PeerLink& link, const std::string& reason) override;
  void link_malformed(PeerLink& link, const std::string& reason) override;

  bool asks_for_a_slice(ConnectionId connection, const Message& message) const;
  void pump();
  void perform(Action& action);
  void send(const Send& send);
  void dial(const Connect& connect);
  void dialled(std::uint64_t number, Result<std::unique_ptr<StreamConnection>> result);
  void add_link(std::unique_ptr<StreamConnection> connection, LinkClass link_class,
                const std::string& dialled_address, Bytes rest);
  void link_is_up(const PeerLink& link);
  void make_room_for_a_stranger();
  // `reason` is for the log, if the link was dialled and was not up yet.
  void close(ConnectionId connection, const std::string& reason);
  static std::string name_of(const PeerLink& link);
  void drop_finished();
  std::uint32_t cluster_tag() const;

  EventLoop& loop_;
  Core& core_;
  StoreDriver& store_;
  NodeFigures& figures_;
  Options options_;
  Hooks hooks_;
  std::deque<Input> inputs_;
  bool pumping_ = false;
  std::map<ConnectionId, std::unique_ptr<PeerLink>> links_;
  struct Finished {
    std::unique_ptr<PeerLink> link;
    Time until;
  };
  std::vector<Finished> finished_;  // Sending their last bytes.
  std::map<std::uint64_t, Dialling> dials_;
  // How often an address was called; a name may have several nodes behind it.
  std::map<std::pair<std::string, LinkClass>, std::size_t> calls_;
  std::uint64_t numbers_ = 0;
  std::optional<Time> malformed_logged_;
  RefusedPeers refused_;
  HandoffPacer pacer_;
  bool key_was_refused_ = false;
};

}  // namespace dhrt
