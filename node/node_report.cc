#include "node/node_report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "node/engine_report.h"
#include "node/machine.h"
#include "node/session_rule.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return {digits.data(), end.ptr};
}

std::string hex(const ClusterId& id) {
  return id.none() ? std::string() : hex(id.high) + "-" + hex(id.low);
}

// Names come from peers and may be any bytes.
std::string shown(const std::string& text) {
  return json::is_utf8(text) ? text : "?";
}

// Exact if few records were written blindly; a report is no reason to look at many.
CollectionCounts counts_of(Collection& collection) {
  CountCursor from;
  collection.settle_counts(from, 512);
  return collection.counts();
}

std::map<std::string_view, std::uint64_t> members_by_state(const ClusterPicture& cluster) {
  std::map<std::string_view, std::uint64_t> states;
  for (const auto& [id, member] : cluster.members)
    ++states[to_text(state_of(member))];
  return states;
}

}  // namespace

std::shared_ptr<const ClusterPicture> NodeReport::cluster() const {
  if (refresh_) refresh_();
  return node_.cluster.get();
}

std::uint64_t NodeReport::sum(Counter NodeFigures::*counter) const {
  std::uint64_t sum = 0;
  for (const NodeFigures* figures : node_.figures)
    sum += figures->*counter;
  return sum;
}

std::uint64_t NodeReport::sum(Counter OfDialect::*counter) const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < client_dialects.size(); ++i)
    sum += sum_of(i, counter);
  return sum;
}

std::uint64_t NodeReport::sum_of(std::size_t dialect, Counter OfDialect::*counter) const {
  std::uint64_t sum = 0;
  for (const NodeFigures* figures : node_.figures)
    sum += figures->dialects[dialect].*counter;
  return sum;
}

NodeReport::Totals NodeReport::totals() const {
  Totals totals;
  for (Collection* collection : store_.collections()) {
    if (system_collection_name(collection->ref().name)) continue;
    const CollectionCounts counts = counts_of(*collection);
    totals.keys += counts.live;
    totals.bytes += counts.bytes;
    totals.tombstones += counts.tombstones;
    ++totals.collections;
  }
  return totals;
}

std::uint64_t NodeReport::files() const {
  const std::vector<Collection*> all = store_.collections();
  return static_cast<std::uint64_t>(
      std::ranges::count_if(all, [](const Collection* one) { return !one->in_memory(); }));
}

Status NodeReport::ready() const {
  if (auto status = store_.health(); !status) return status;
  if (!node_.view.belongs.get())
    return fail(ErrorCode::unavailable, "not a member of a cluster yet");
  if (!node_.view.healthy.get())
    return fail(ErrorCode::unavailable,
                "the node is " + std::string(to_text(cluster()->state)) + ", not synced yet");
  if (node_.view.fenced.get())
    return fail(ErrorCode::unavailable,
                clock_skew_explanation(cluster()->clocks.offset, node_.options.max_clock_offset));
  return {};
}

NodeReport::Figures NodeReport::figures() const {
  const EngineFigures engine = node_.engine.figures();
  const auto states = members_by_state(*cluster());
  const auto healthy = states.find("healthy");
  const Duration up = monotonic_now() - node_.started;
  const WallMilliseconds started = wall_now() - static_cast<WallMilliseconds>(up.count());
  const WallMilliseconds ended = engine.checkpoint_ended == 0 ? started : engine.checkpoint_ended;
  return {.address = node_.address,
          .event_loops = node_.figures.size(),
          .uptime_seconds = static_cast<std::uint64_t>(up.count() / 1000),
          .connections = sum(&NodeFigures::connections),
          .connections_total = sum(&NodeFigures::connections_total),
          .connections_refused = sum(&NodeFigures::connections_refused),
          .commands_total = sum(&OfDialect::commands_total),
          .errors_total = sum(&OfDialect::errors_total),
          .memory_bytes = engine.memory_bytes,
          .checkpoints = engine.checkpoints,
          .checkpoint_unix_seconds = ended / 1000,
          .expired = engine.expired,
          .evictions = engine.evictions,
          .healthy = healthy == states.end() ? 0 : healthy->second,
          .slow_clients = sum(&NodeFigures::slow_clients_disconnected),
          .unflushed_records = engine.unflushed_records,
          .cache_hits = engine.cache_hits,
          .cache_misses = engine.cache_misses,
          .bytes_to_peers = sum(&NodeFigures::replication_bytes_sent),
          .bytes_from_peers = sum(&NodeFigures::replication_bytes_received),
          .on_disk = !node_.memory,
          .clock_offset_milliseconds = cluster()->clocks.offset.count(),
          .clock_fenced = cluster()->clocks.fenced};
}

bool NodeReport::has_ended_everywhere(const Origin& origin) const {
  // Of some moment is as good as of this one: what was nowhere then is nowhere now.
  const auto cluster = node_.cluster.get();
  return dhrt::has_ended_everywhere(origin, cluster->members, cluster->agrees_with_all);
}

Address NodeReport::own_address() const {
  auto told = parse_address(cluster()->self.address);
  return told ? *std::move(told) : parse_address(node_.address).value_or(Address{});
}

// --- stats ----------------------------------------------------------------------------------

std::string NodeReport::stats() const {
  const auto cluster = this->cluster();
  json::Writer writer;
  writer.begin_object();
  write_node(writer, *cluster);
  write_clients(writer);
  write_replication(writer, *cluster);
  write_limits(writer);
  write_engine_figures(writer, node_.engine.figures());
  const Backups::Progress backup = node_.backups.progress();
  writer.key("backup").begin_object().key("running").boolean(backup.running);
  writer.key("collections").number(backup.collections);
  writer.key("collections_total").number(backup.collections_total).end_object();
  writer.end_object();
  return writer.take();
}

void NodeReport::write_node(json::Writer& writer, const ClusterPicture& cluster) const {
  const Totals sums = totals();
  const Duration up = monotonic_now() - node_.started;
  writer.key("version").string(DHRT_VERSION);
  writer.key("name").string(shown(cluster.self.name));
  writer.key("node_id").string(hex(cluster.self.id));
  writer.key("cluster_id").string(hex(cluster.id));
  writer.key("state").string(to_text(cluster.state));
  writer.key("mode").string(node_.memory ? "memory" : "disk");
  const Status health = store_.health();
  writer.key("disk").string(health ? "ok" : shown(health.error().message));
  writer.key("event_loops").number(std::uint64_t{node_.figures.size()});
  writer.key("epoch").number(std::uint64_t{cluster.self.epoch});
  writer.key("clock_offset_ms").number(std::int64_t{cluster.clocks.offset.count()});
  writer.key("clock_fenced").boolean(cluster.clocks.fenced);
  writer.key("clock_apart").boolean(cluster.clocks.apart);
  writer.key("uptime_seconds").number(static_cast<std::uint64_t>(up.count() / 1000));
  writer.key("keys").number(sums.keys);
  writer.key("bytes").number(sums.bytes);
  writer.key("tombstones").number(sums.tombstones);
  writer.key("collections").number(sums.collections);
}

void NodeReport::write_clients(json::Writer& writer) const {
  const auto number = [&](Bytes name, Counter NodeFigures::*counter) {
    writer.key(name).number(sum(counter));
  };
  number("connections", &NodeFigures::connections);
  number("connections_total", &NodeFigures::connections_total);
  number("connections_refused", &NodeFigures::connections_refused);
  writer.key("commands_total").number(sum(&OfDialect::commands_total));
  writer.key("errors_total").number(sum(&OfDialect::errors_total));
  number("slow_clients_disconnected", &NodeFigures::slow_clients_disconnected);
  number("wrong_tokens_total", &NodeFigures::wrong_tokens_total);
  number("requests_refused_total", &NodeFigures::requests_refused_total);
  number("fanout_reads_total", &NodeFigures::fanout_reads_total);
  const std::uint64_t anti_entropy = sum(&NodeFigures::anti_entropy_nanoseconds_total);
  writer.key("anti_entropy_milliseconds_total").number(anti_entropy / 1'000'000);
  number("handoff_paused_milliseconds_total", &NodeFigures::handoff_paused_milliseconds_total);
  number("durable_position", &NodeFigures::durable_position);
  writer.key("connections_by_loop").begin_array();
  for (const NodeFigures* figures : node_.figures)
    writer.number(std::uint64_t{figures->connections});
  writer.end_array();
  write_dialects(writer);
}

void NodeReport::write_dialects(json::Writer& writer) const {
  writer.key("dialects").begin_object();
  for (std::size_t i = 0; i < client_dialects.size(); ++i) {
    writer.key(client_dialects[i]).begin_object();
    writer.key("connections").number(sum_of(i, &OfDialect::connections));
    writer.key("connections_total").number(sum_of(i, &OfDialect::connections_total));
    writer.key("commands_total").number(sum_of(i, &OfDialect::commands_total));
    writer.key("errors_total").number(sum_of(i, &OfDialect::errors_total));
    writer.end_object();
  }
  writer.end_object();
  if (node_.request_log != nullptr)
    writer.key("request_log_dropped_total").number(node_.request_log->dropped());
}

void NodeReport::write_replication(json::Writer& writer, const ClusterPicture& cluster) const {
  const auto number = [&](Bytes name, Counter NodeFigures::*counter) {
    writer.key(name).number(sum(counter));
  };
  number("replication_bytes_sent", &NodeFigures::replication_bytes_sent);
  number("replication_bytes_received", &NodeFigures::replication_bytes_received);
  number("replication_bulk_bytes_sent", &NodeFigures::replication_bulk_bytes_sent);
  number("replication_bulk_bytes_received", &NodeFigures::replication_bulk_bytes_received);
  number("replication_dropped_total", &NodeFigures::replication_dropped_total);
  number("peer_frames_malformed", &NodeFigures::peer_frames_malformed);
  number("peers_refused_total", &NodeFigures::peers_refused_total);
  number("nkvd_writes_sent", &NodeFigures::nkvd_writes_sent);
  number("nkvd_writes_refused", &NodeFigures::nkvd_writes_refused);
  number("nkvd_records_copied", &NodeFigures::nkvd_records_copied);
  writer.key("records_pulled").number(cluster.records_pulled);
  write_catch_up(writer, cluster.own_catch_up());
  writer.key("sync_root").string(hex(cluster.root));
  writer.key("voters").number(std::uint64_t{cluster.layout.voters.size()});
  writer.key("peers").begin_object();
  for (const auto& [state, count] : members_by_state(cluster))
    writer.key(state).number(count);
  writer.end_object();
}

// As they are in force: those of the machine may be lower than what the flags ask for.
void NodeReport::write_limits(json::Writer& writer) const {
  const NodeOptions& options = node_.options;
  writer.key("limits").begin_object();
  writer.key("max_clients").number(options.max_clients);
  writer.key("max_collections").number(options.max_collections);
  writer.key("max_value_bytes").number(options.max_value_bytes);
  writer.key("cache_bytes").number(cache_bytes_for(options.cache_bytes));
  writer.key("memory_limit").number(options.memory_limit);
  writer.key("unflushed_max").number(options.unflushed_max);
  writer.key("checkpoint_bytes").number(options.checkpoint_bytes);
  writer.end_object();
}

// --- The others -----------------------------------------------------------------------------

void NodeReport::write_nodes(json::Writer& writer, const ClusterPicture& cluster) const {
  writer.begin_array();
  for (const auto& [id, member] : cluster.members) {
    const MemberState state = state_of(member);
    if (state == MemberState::left || state == MemberState::evicted) continue;
    const bool self = id == cluster.self.id;
    const bool unknown = self && member.address.empty();
    writer.begin_object();
    writer.key("name").string(shown(member.name));
    writer.key("id").string(hex(id));
    writer.key("address").string(unknown ? node_.address : shown(member.address));
    writer.key("state").string(to_text(state));
    writer.key("votes").boolean(cluster.layout.contains(id));
    writer.key("self").boolean(self);
    writer.key("epoch").number(std::uint64_t{member.epoch});
    write_clock(writer, cluster, id);
    // Of one that is healthy, or dead, the last word may be older than its state.
    const bool waits = state == MemberState::joining || state == MemberState::syncing ||
                       state == MemberState::unhealthy;
    const auto catch_up = cluster.catching_up.find(id);
    if (waits && catch_up != cluster.catching_up.end())
      write_catch_up_of_node(writer, catch_up->second);
    writer.end_object();
  }
  writer.end_array();
}

// As few columns as do for a person who waits; what is not known yet is left out.
void NodeReport::write_catch_up_of_node(json::Writer& writer, const CatchUp& catch_up) {
  if (catch_up.records_expected != 0) {
    const double share =
        static_cast<double>(catch_up.records) / static_cast<double>(catch_up.records_expected);
    writer.key("catch_up_percent").number(static_cast<std::uint64_t>(100 * std::min(share, 1.0)));
  }
  writer.key("catch_up_records").number(catch_up.records);
  writer.key("catch_up_bytes").number(catch_up.bytes);
  if (catch_up.seconds_left != 0)
    writer.key("catch_up_seconds_left").number(std::uint64_t{catch_up.seconds_left});
}

void NodeReport::write_catch_up(json::Writer& writer, const CatchUp& catch_up) {
  writer.key("catch_up").begin_object();
  writer.key("records").number(catch_up.records);
  writer.key("records_expected").number(catch_up.records_expected);
  writer.key("bytes").number(catch_up.bytes);
  writer.key("collections_left").number(std::uint64_t{catch_up.collections_left});
  writer.key("seconds_left").number(std::uint64_t{catch_up.seconds_left});
  writer.end_object();
}

// Nothing of who did not say for a while.
void NodeReport::write_clock(json::Writer& writer, const ClusterPicture& cluster, NodeId node) {
  const ClusterPicture::Clocks& clocks = cluster.clocks;
  const auto peer = clocks.peers.find(node);
  const bool self = node == cluster.self.id;
  if (!self && peer == clocks.peers.end()) return;
  const Duration offset = self ? clocks.offset : peer->second.ahead;
  writer.key("clock_offset_ms").number(std::int64_t{offset.count()});
  writer.key("clock_fenced").boolean(self ? clocks.fenced : peer->second.fenced);
}

std::string NodeReport::nodes() const {
  json::Writer writer;
  write_nodes(writer, *this->cluster());
  return writer.take();
}

std::string NodeReport::cluster_overview() const {
  const auto cluster = this->cluster();
  json::Writer writer;
  writer.begin_object();
  writer.key("ClusterId").string(hex(cluster->id));
  writer.key("State").string(to_text(cluster->state));
  writer.key("Nodes");
  write_nodes(writer, *cluster);
  writer.end_object();
  return writer.take();
}

std::string NodeReport::collections(const Grant& grant) const {
  const auto cluster = this->cluster();
  json::Writer writer;
  writer.begin_array();
  for (Collection* collection : store_.collections()) {
    const std::string& name = collection->ref().name;
    if (system_collection_name(name) || !grant.may(Role::read, name)) continue;
    const CollectionCounts counts = counts_of(*collection);
    const CollectionConfig config = catalog_.config(name);
    writer.begin_object();
    writer.key("name").string(name);
    writer.key("keys").number(counts.live);
    writer.key("bytes").number(counts.bytes);
    writer.key("storage").string(collection->in_memory() ? "memory" : "disk");
    writer.key("replicas");
    if (config.replicas == 0)
      writer.string("all");
    else
      writer.number(std::uint64_t{config.replicas});
    writer.key("ttl_ms").number(config.ttl_milliseconds);
    writer.key("on_conflict").string(config.on_conflict == OnConflict::keep ? "keep" : "last");
    const auto conflicts = cluster->conflicts.find(name);
    writer.key("conflicts")
        .number(conflicts == cluster->conflicts.end() ? std::uint64_t{0} : conflicts->second);
    writer.end_object();
  }
  writer.end_array();
  return writer.take();
}

std::string NodeReport::overview() const {
  const Totals sums = totals();
  const auto cluster = this->cluster();
  json::Writer writer;
  writer.begin_object();
  writer.key("Config").begin_object();
  writer.key("Version").string(DHRT_VERSION);
  writer.key("Name").string(shown(cluster->self.name));
  writer.key("Address").string(node_.address);
  writer.key("DataDir").string(node_.memory ? "" : shown(node_.data_dir));
  writer.key("Mode").string(node_.memory ? "memory" : "disk");
  writer.end_object();
  writer.key("Size").number(sums.bytes);
  writer.key("ItemCount").number(sums.keys);
  const auto states = members_by_state(*cluster);
  writer.key("Nodes").begin_object();
  for (const Bytes state : {"healthy", "unhealthy", "dead"}) {
    const auto found = states.find(state);
    writer.key(state).number(found == states.end() ? std::uint64_t{0} : found->second);
  }
  writer.end_object();
  writer.end_object();
  return writer.take();
}

}  // namespace dhrt
