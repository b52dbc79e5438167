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
#include "node/peer_link.h"
#include "node/store_driver.h"

namespace dhrt {

class ClusterDriver final : public PeerLink::Owner {
 public:
  struct Options {
    Duration handshake_timeout{};
  };
  // What concerns others than peers and store.
  struct Hooks {
    std::function<void(FanoutReply)> fanout_reply;
    std::function<void(Waited)> waited;
    std::function<void(Publish)> published;
    // What is durable of a collection is another than before, or it is gone.
    std::function<void(const std::string& collection)> changed;
    std::function<void(Persist)> persist;
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

  const Core& core() const { return core_; }
  // Bytes that wait to be sent on links, those being closed included.
  std::size_t unsent() const;

 private:
  struct Dialling {
    Connect connect;
    std::unique_ptr<Dial> dial;
  };
  void link_received(PeerLink& link, Message message) override;
  void link_coming(PeerLink& link) override { input(MessageComing{link.id()}); }
  void link_ended(PeerLink& link, const std::string& reason) override;
  void link_malformed(PeerLink& link, const std::string& reason) override;

  void pump();
  void perform(Action& action);
  void send(const Send& send);
  void dial(const Connect& connect);
  void dialled(std::uint64_t number, Result<std::unique_ptr<StreamConnection>> result);
  void add_link(std::unique_ptr<StreamConnection> connection, LinkClass link_class,
                const std::string& dialled_address, Bytes rest);
  void close(ConnectionId connection);
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
};

}  // namespace dhrt
