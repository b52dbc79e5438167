#include "node/node_report.h"

#include <array>
#include <charconv>
#include <map>

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

std::map<std::string_view, std::uint64_t> members_by_state(const Core& core) {
  std::map<std::string_view, std::uint64_t> states;
  for (const auto& [id, member] : core.members())
    ++states[to_text(state_of(member))];
  return states;
}

void write_states(json::Writer& writer, const Core& core) {
  for (const auto& [state, count] : members_by_state(core))
    writer.key(state).number(count);
}

}  // namespace

NodeReport::Totals NodeReport::totals() const {
  Totals totals;
  for (const std::string& name : parts_.catalog.names()) {
    const CollectionCounts counts = parts_.store.find(name)->counts();
    totals.keys += counts.live;
    totals.bytes += counts.bytes;
    totals.tombstones += counts.tombstones;
    ++totals.collections;
  }
  return totals;
}

Status NodeReport::ready() const {
  if (auto status = parts_.store.health(); !status) return status;
  if (!parts_.core.belongs()) return fail(ErrorCode::unavailable, "not a member of a cluster yet");
  if (parts_.core.state() != MemberState::healthy)
    return fail(ErrorCode::unavailable,
                "the node is " + std::string(to_text(parts_.core.state())) + ", not synced yet");
  return {};
}

std::string NodeReport::stats() const {
  const Core& core = parts_.core;
  const NodeFigures& figures = parts_.figures;
  const Totals sums = totals();
  json::Writer writer;
  const auto number = [&writer](Bytes name, std::uint64_t value) {
    writer.key(name).number(value);
  };
  writer.begin_object();
  writer.key("version").string(DHRT_VERSION);
  writer.key("name").string(shown(core.self().name));
  writer.key("node_id").string(hex(core.self().id));
  writer.key("cluster_id").string(hex(core.belonging().id));
  writer.key("state").string(to_text(core.state()));
  writer.key("mode").string(parts_.memory ? "memory" : "disk");
  number("epoch", core.self().epoch);
  number("uptime_seconds",
         static_cast<std::uint64_t>((monotonic_now() - parts_.started).count() / 1000));
  number("keys", sums.keys);
  number("bytes", sums.bytes);
  number("tombstones", sums.tombstones);
  number("collections", sums.collections);
  number("connections", parts_.connections);
  number("connections_total", figures.connections_total);
  number("connections_refused", figures.connections_refused);
  number("commands_total", figures.commands_total);
  number("errors_total", figures.errors_total);
  number("slow_clients_disconnected", figures.slow_clients_disconnected);
  number("fanout_reads_total", figures.fanout_reads_total);
  number("durable_position", parts_.durable);
  number("replication_bytes_sent", figures.replication_bytes_sent);
  number("replication_bytes_received", figures.replication_bytes_received);
  number("replication_bulk_bytes_sent", figures.replication_bulk_bytes_sent);
  number("replication_bulk_bytes_received", figures.replication_bulk_bytes_received);
  number("replication_dropped_total", figures.replication_dropped_total);
  number("peer_frames_malformed", figures.peer_frames_malformed);
  number("records_pulled", core.sync_progress().records_pulled);
  writer.key("sync_root").string(hex(core.root()));
  writer.key("peers").begin_object();
  write_states(writer, core);
  writer.end_object();
  writer.end_object();
  return writer.take();
}

std::string NodeReport::nodes() const {
  json::Writer writer;
  writer.begin_array();
  for (const auto& [id, member] : parts_.core.members()) {
    const MemberState state = state_of(member);
    if (state == MemberState::left || state == MemberState::evicted) continue;
    const bool self = id == parts_.core.self().id;
    const bool unknown = self && member.address.empty();
    writer.begin_object();
    writer.key("name").string(shown(member.name));
    writer.key("id").string(hex(id));
    writer.key("address").string(unknown ? parts_.address : shown(member.address));
    writer.key("state").string(to_text(state));
    writer.key("self").boolean(self);
    writer.key("epoch").number(std::uint64_t{member.epoch});
    writer.end_object();
  }
  writer.end_array();
  return writer.take();
}

std::string NodeReport::collections() const {
  json::Writer writer;
  writer.begin_array();
  for (const std::string& name : parts_.catalog.names()) {
    const CollectionCounts counts = parts_.store.find(name)->counts();
    const CollectionConfig config = parts_.catalog.config(name);
    writer.begin_object();
    writer.key("name").string(name);
    writer.key("keys").number(counts.live);
    writer.key("bytes").number(counts.bytes);
    writer.key("storage").string(parts_.store.find(name)->in_memory() ? "memory" : "disk");
    writer.key("replicas");
    if (config.replicas == 0)
      writer.string("all");
    else
      writer.number(std::uint64_t{config.replicas});
    writer.key("ttl_ms").number(config.ttl_milliseconds);
    writer.end_object();
  }
  writer.end_array();
  return writer.take();
}

std::string NodeReport::overview() const {
  const Totals sums = totals();
  json::Writer writer;
  writer.begin_object();
  writer.key("Config").begin_object();
  writer.key("Version").string(DHRT_VERSION);
  writer.key("Name").string(shown(parts_.core.self().name));
  writer.key("Address").string(parts_.address);
  writer.key("DataDir").string(parts_.memory ? "" : shown(parts_.data_dir));
  writer.key("Mode").string(parts_.memory ? "memory" : "disk");
  writer.end_object();
  writer.key("Size").number(sums.bytes);
  writer.key("ItemCount").number(sums.keys);
  const auto states = members_by_state(parts_.core);
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
