// The figures of a node in the text format of Prometheus (exposition format 0.0.4).
#include <map>

#include "node/node_report.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

class MetricsText {
 public:
  void gauge(std::string_view name, std::string_view help, double value) {
    begin(name, "gauge", help);
    sample(name, "", value);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    begin(name, "counter", help);
    sample(name, "", static_cast<double>(value));
  }
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    text_.append("# HELP dhrt_").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE dhrt_").append(name).append(" ").append(type).append("\n");
  }
  // `labels`: state="healthy"
  void sample(std::string_view name, std::string_view labels, double value) {
    text_.append("dhrt_").append(name);
    if (!labels.empty()) text_.append("{").append(labels).append("}");
    text_ += ' ';
    // Counters stay exact, and without a decimal point, up to 2^53.
    const auto whole = static_cast<std::int64_t>(value);
    text_ += static_cast<double>(whole) == value ? std::to_string(whole) : std::to_string(value);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string quoted_label(std::string_view name, std::string_view value) {
  std::string label(name);
  label += "=\"";
  for (const char byte : value) {
    if (byte == '\\' || byte == '"') label += '\\';
    label += byte == '\n' ? ' ' : byte;
  }
  return label + '"';
}

void write_engine(MetricsText& text, const EngineFigures& engine) {
  std::uint64_t log_bytes = 0;
  std::uint64_t syncs = 0;
  std::uint64_t sync_microseconds = 0;
  for (const EngineFigures::OfLog& one : engine.logs) {
    log_bytes += one.log.bytes;
    syncs += one.log.syncs;
    sync_microseconds += one.log.sync_microseconds;
  }
  text.counter("log_bytes_total", "Bytes written to the logs.", log_bytes);
  text.counter("log_syncs_total", "Syncs of the logs.", syncs);
  text.begin("log_sync_seconds_total", "counter", "Time that syncs of the logs took.");
  text.sample("log_sync_seconds_total", "", static_cast<double>(sync_microseconds) / 1e6);
  text.gauge("memory_records", "Records held in memory.",
             static_cast<double>(engine.records_in_memory));
  text.gauge("memory_bytes", "Bytes of memory that records take.",
             static_cast<double>(engine.memory_bytes));
  text.gauge("unflushed_bytes", "Bytes of records that are in the log only.",
             static_cast<double>(engine.unflushed_bytes));
  text.gauge("file_bytes", "Bytes of the files of the collections.",
             static_cast<double>(engine.file_bytes));
  text.counter("checkpoints_total", "Checkpoints that were finished.", engine.checkpoints);
  text.counter("cache_hits_total", "Reads that memory answered.", engine.cache_hits);
  text.counter("cache_misses_total", "Reads that needed a file.", engine.cache_misses);
  text.counter("evictions_total", "Records forgotten to stay within a limit.", engine.evictions);
  text.counter("records_expired_total", "Records whose deadline passed.", engine.expired);
  text.counter("writes_refused_total", "Writes refused for want of disk or memory.",
               engine.writes_refused);
  text.gauge("records_damaged", "Records that the disk damaged and nobody replaced yet.",
             static_cast<double>(engine.damaged));
  text.gauge("files_damaged", "Files set aside because their pages are damaged.",
             static_cast<double>(engine.damaged_files.size()));
}

void write_clocks(MetricsText& text, const ClusterPicture& cluster, const Grant& grant) {
  const ClusterPicture::Clocks& clocks = cluster.clocks;
  text.gauge(
      "clock_offset_milliseconds",
      "How far this node's clock is ahead of the one in the middle of all clocks, or, of two, "
      "of the other.",
      static_cast<double>(clocks.offset.count()));
  text.gauge("clock_fenced", "1 while no writes are taken because of that.", clocks.fenced ? 1 : 0);
  text.gauge("clock_apart", "1 while clocks differ and no majority says which are right.",
             clocks.apart ? 1 : 0);
  text.begin("conflicts_total", "counter",
             "Writes that were lost to a concurrent one, as far as this node can prove.");
  for (const auto& [collection, count] : cluster.conflicts) {
    if (!grant.may(Role::read, collection)) continue;
    text.sample("conflicts_total", quoted_label("collection", collection),
                static_cast<double>(count));
  }
}

}  // namespace

void NodeReport::write_client_metrics(const WriteMetric& write) const {
  const auto counter = [&](std::string_view name, std::string_view help,
                           Counter NodeFigures::*field) { write(name, help, sum(field)); };
  counter("connections_total", "Clients that connected.", &NodeFigures::connections_total);
  counter("connections_refused_total", "Clients that were refused.",
          &NodeFigures::connections_refused);
  write("commands_total", "Commands and requests of clients.", sum(&OfDialect::commands_total));
  write("errors_total", "Of those, answered with an error.", sum(&OfDialect::errors_total));
  if (node_.request_log != nullptr)
    write("request_log_dropped_total", "Lines that the log of requests left out.",
          node_.request_log->dropped());
  counter("slow_clients_disconnected_total", "Clients cut off because they did not read.",
          &NodeFigures::slow_clients_disconnected);
  counter("wrong_tokens_total", "Tokens that were shown and are none.",
          &NodeFigures::wrong_tokens_total);
  counter("requests_refused_total", "Requests refused to who may not make them, and wrong tokens.",
          &NodeFigures::requests_refused_total);
  counter("fanout_reads_total", "Reads that asked other nodes.", &NodeFigures::fanout_reads_total);
  const std::uint64_t nanoseconds = sum(&NodeFigures::anti_entropy_nanoseconds_total);
  write("anti_entropy_milliseconds_total",
        "Time that comparing with other nodes took, and what they miss.", nanoseconds / 1'000'000);
  counter("handoff_paused_milliseconds_total",
          "Time that joining nodes waited because clients did (--join-delay-max).",
          &NodeFigures::handoff_paused_milliseconds_total);
  counter("levels_timed_out_total", "Reads and writes whose level was not reached in time.",
          &NodeFigures::levels_timed_out_total);
  counter("replication_sent_bytes_total", "Bytes sent to other nodes.",
          &NodeFigures::replication_bytes_sent);
  counter("replication_received_bytes_total", "Bytes that came from other nodes.",
          &NodeFigures::replication_bytes_received);
  counter("replication_dropped_total", "Live writes that a slow node was not sent.",
          &NodeFigures::replication_dropped_total);
  counter("peer_frames_malformed_total", "What came on peer links and was no message.",
          &NodeFigures::peer_frames_malformed);
  counter("peers_refused_total", "Links to nodes that failed for want of a key or of TLS.",
          &NodeFigures::peers_refused_total);
  counter("nkvd_writes_sent_total", "Writes passed on to nodes of nkvd.",
          &NodeFigures::nkvd_writes_sent);
  counter("nkvd_writes_refused_total", "Writes that nodes of nkvd cannot take.",
          &NodeFigures::nkvd_writes_refused);
  counter("nkvd_records_copied_total", "Records taken in from nodes of nkvd.",
          &NodeFigures::nkvd_records_copied);
}

std::string NodeReport::metrics(const Grant& grant) const {
  const auto cluster = this->cluster();
  MetricsText text;
  text.begin("info", "gauge", "The node: its version and name.");
  text.sample(
      "info",
      quoted_label("version", DHRT_VERSION) + "," + quoted_label("name", cluster->self.name), 1);
  const Duration up = monotonic_now() - node_.started;
  text.gauge("uptime_seconds", "Since the start.", static_cast<double>(up.count()) / 1000);
  text.gauge("ready", "1 when the node is synced and takes writes.", ready() ? 1 : 0);
  text.begin("nodes", "gauge", "Nodes of the cluster by state, this one included.");
  std::map<std::string_view, std::uint64_t> states{{"healthy", 0}, {"unhealthy", 0}, {"dead", 0}};
  for (const auto& [id, member] : cluster->members)
    ++states[to_text(state_of(member))];
  for (const auto& [state, count] : states)
    text.sample("nodes", quoted_label("state", state), static_cast<double>(count));
  text.gauge("voters", "Nodes that count for the levels above one, away or not.",
             static_cast<double>(cluster->layout.voters.size()));
  write_clocks(text, *cluster, grant);
  const Totals sums = totals();
  text.gauge("keys", "Keys that are there.", static_cast<double>(sums.keys));
  text.gauge("tombstones", "Deletes that are remembered.", static_cast<double>(sums.tombstones));
  text.gauge("collections", "Collections.", static_cast<double>(sums.collections));
  text.gauge("connections", "Clients that are connected.",
             static_cast<double>(sum(&NodeFigures::connections)));
  write_client_metrics([&](std::string_view name, std::string_view help, std::uint64_t value) {
    text.counter(name, help, value);
  });
  const auto by_dialect = [&](std::string_view name, std::string_view type, std::string_view help,
                              Counter OfDialect::*field) {
    text.begin(name, type, help);
    for (std::size_t i = 0; i < client_dialects.size(); ++i)
      text.sample(name, quoted_label("dialect", client_dialects[i]),
                  static_cast<double>(sum_of(i, field)));
  };
  by_dialect("dialect_connections", "gauge", "Clients that speak it.", &OfDialect::connections);
  by_dialect("dialect_connections_total", "counter", "Clients that spoke it.",
             &OfDialect::connections_total);
  by_dialect("dialect_commands_total", "counter", "Commands and requests in it.",
             &OfDialect::commands_total);
  by_dialect("dialect_errors_total", "counter", "Of those, answered with an error.",
             &OfDialect::errors_total);
  text.counter("records_pulled_total", "Records that came by catching up.",
               cluster->records_pulled);
  const CatchUp catch_up = cluster->own_catch_up();
  text.gauge("catch_up_records", "Brought in of the collection that is on its way.",
             static_cast<double>(catch_up.records));
  text.gauge("catch_up_records_expected",
             "Of these, about; 0: not known, or nothing is on its way.",
             static_cast<double>(catch_up.records_expected));
  text.gauge("catch_up_seconds_left", "For that collection, at the speed so far.",
             catch_up.seconds_left);
  write_engine(text, node_.engine.figures());
  return text.take();
}

}  // namespace dhrt
