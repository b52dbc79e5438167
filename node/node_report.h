// What a node says about itself as JSON: `stats`, `nodes` and `collections`.
//
// Every event loop has a report; what the loops share, they read here: counters add up over the
// loops, counts come from the storage engine, and what the cluster is like from a board on which
// the loop of the core writes.
// Threads: a report belongs to its loop. The board: the core's loop puts, any gets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cluster/clock_skew.h"
#include "cluster/core.h"
#include "cluster/layout.h"
#include "node/access.h"
#include "node/backups.h"
#include "node/cluster_view.h"
#include "node/figures.h"
#include "node/options.h"
#include "node/request_log.h"
#include "storage/catalog.h"
#include "storage/engine.h"
#include "storage/store.h"

namespace dhrt {

namespace json {
class Writer;
}

// The cluster as the core knew it a moment ago.
struct ClusterPicture {
  Member self;
  ClusterId id;
  bool belongs = false;
  MemberState state{};
  std::map<NodeId, Member> members;
  std::uint64_t records_pulled = 0;
  std::map<NodeId, CatchUp> catching_up;  // As Core has it, this node included.
  std::uint64_t root = 0;
  struct Clocks {
    Duration offset{};  // Of ours, as ClockSkew has it.
    bool fenced = false;
    bool apart = false;
    std::map<NodeId, ClockSkew::PeerClock> peers;
  };
  Clocks clocks{};
  std::map<std::string, std::uint64_t> conflicts;  // By collection.
  Layout layout;                                   // Who votes, as far as this node knows.
  bool agrees_with_all = false;                    // As Synchronizer has it.

  // All 0 if this node brings in nothing that it waits for.
  CatchUp own_catch_up() const {
    const auto own = catching_up.find(self.id);
    return own == catching_up.end() ? CatchUp() : own->second;
  }
};

class ClusterBoard {
 public:
  void put(ClusterPicture picture) {
    auto fresh = std::make_shared<const ClusterPicture>(std::move(picture));
    const std::lock_guard lock(mutex_);
    picture_.swap(fresh);
  }
  // Something was put before.
  std::shared_ptr<const ClusterPicture> get() const {
    const std::lock_guard lock(mutex_);
    return picture_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const ClusterPicture> picture_;
};

class NodeReport {
 public:
  // What all loops of the node report alike; what it names outlives the report.
  struct Node {
    const ClusterBoard& cluster;
    const ClusterView& view;
    const Engine& engine;
    const Backups& backups;
    std::vector<const NodeFigures*> figures;  // By loop.
    const NodeOptions& options;
    Time started;
    bool memory = false;
    std::string data_dir;
    std::string address;                      // Where the node listens.
    const RequestLog* request_log = nullptr;  // Null: none is kept.
  };
  // `refresh`, if there is one, puts the present picture on the board.
  NodeReport(Node node, Store& store, const Catalog& catalog, std::function<void()> refresh)
      : node_(std::move(node)), store_(store), catalog_(catalog), refresh_(std::move(refresh)) {}

  std::string stats() const;
  // Members that are part of the cluster; those that left are not shown.
  std::string nodes() const;
  // Those that the grant is for.
  std::string collections(const Grant& grant) const;
  // The cluster: {"ClusterId","State","Nodes":[…]}.
  std::string cluster_overview() const;
  // Figures in the text format of Prometheus, 0.0.4; of single collections those that the grant is
  // for.
  std::string metrics(const Grant& grant) const;
  // As node/session_rule.h has it.
  bool has_ended_everywhere(const Origin& origin) const;
  // `GET /`: the node in the words of HTTP clients.
  std::string overview() const;

  struct Totals {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t collections = 0;
  };
  Totals totals() const;
  // Collections that have a file, the node's own included.
  std::uint64_t files() const;
  // Of the whole node, all loops together; INFO shows them.
  struct Figures {
    std::string address;
    std::uint64_t event_loops = 0;
    std::uint64_t uptime_seconds = 0;
    std::uint64_t connections = 0;
    std::uint64_t connections_total = 0;
    std::uint64_t connections_refused = 0;
    std::uint64_t commands_total = 0;
    std::uint64_t errors_total = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t checkpoints = 0;
    std::uint64_t checkpoint_unix_seconds = 0;  // When the last one ended; of the start if none.
    std::uint64_t expired = 0;
    std::uint64_t evictions = 0;
    std::uint64_t healthy = 0;  // Nodes, this one included.
    std::uint64_t slow_clients = 0;
    std::uint64_t unflushed_records = 0;
    std::uint64_t cache_hits = 0;
    std::uint64_t cache_misses = 0;
    std::uint64_t bytes_to_peers = 0;
    std::uint64_t bytes_from_peers = 0;
    bool on_disk = false;
    std::int64_t clock_offset_milliseconds = 0;
    bool clock_fenced = false;
  };
  Figures figures() const;
  // What peers are told, or where the node listens.
  Address own_address() const;
  // Of this node, for who must tell one from another.
  NodeId own_id() const { return cluster()->self.id; }
  // Ready: synced and writable. Otherwise the reason.
  Status ready() const;

 private:
  std::shared_ptr<const ClusterPicture> cluster() const;
  std::uint64_t sum(Counter NodeFigures::*counter) const;
  using OfDialect = NodeFigures::OfDialect;
  std::uint64_t sum(Counter OfDialect::*counter) const;
  std::uint64_t sum_of(std::size_t dialect, Counter OfDialect::*counter) const;
  void write_node(json::Writer& writer, const ClusterPicture& cluster) const;
  void write_clients(json::Writer& writer) const;
  void write_dialects(json::Writer& writer) const;
  void write_replication(json::Writer& writer, const ClusterPicture& cluster) const;
  void write_limits(json::Writer& writer) const;
  void write_nodes(json::Writer& writer, const ClusterPicture& cluster) const;
  static void write_catch_up(json::Writer& writer, const CatchUp& catch_up);
  static void write_catch_up_of_node(json::Writer& writer, const CatchUp& catch_up);
  static void write_clock(json::Writer& writer, const ClusterPicture& cluster, NodeId node);
  using WriteMetric =
      std::function<void(std::string_view name, std::string_view help, std::uint64_t value)>;
  void write_client_metrics(const WriteMetric& write) const;

  Node node_;
  Store& store_;
  const Catalog& catalog_;
  std::function<void()> refresh_;
};

}  // namespace dhrt
