// INFO: the fields that clients and tools of Redis read, as far as there is such a thing here, and
// beside them what is dhrt's own.
#include <algorithm>
#include <array>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

#include "node/node_settings.h"
#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "node/redis_listeners.h"
#include "node/redis_shared.h"
#include "node/saves.h"

namespace dhrt::redis {

namespace {

class Section {
 public:
  explicit Section(std::string& out) : out_(out) {}
  Section& field(Bytes name, Bytes value) {
    ((out_ += name) += ':') += value;
    out_ += "\r\n";
    return *this;
  }
  Section& field(Bytes name, std::uint64_t value) { return field(name, std::to_string(value)); }

 private:
  std::string& out_;
};

void server(RedisCall&, const NodeReport::Figures& figures, Section out) {
  constexpr std::uint64_t seconds_per_day = 86400;
  out.field("redis_version", redis_version)
      .field("dhrt_version", DHRT_VERSION)
      .field("redis_mode", "standalone")
      .field("arch_bits", sizeof(void*) * 8)
      .field("process_id", static_cast<std::uint64_t>(getpid()))
      .field("address", figures.address)
      .field("tcp_port", figures.address.substr(figures.address.rfind(':') + 1))
      .field("event_loops", figures.event_loops)
      .field("uptime_in_seconds", figures.uptime_seconds)
      .field("uptime_in_days", figures.uptime_seconds / seconds_per_day);
}

void clients(RedisCall& call, const NodeReport::Figures& figures, Section out) {
  out.field("connected_clients", figures.connections)
      .field("maxclients", call.server().settings->max_clients.load())
      .field("blocked_clients", 0)
      .field("slow_clients_disconnected", figures.slow_clients);
}

std::string in_units(std::uint64_t bytes) {
  constexpr std::array units{"B", "K", "M", "G", "T"};
  std::size_t unit = 0;
  std::uint64_t tenths = bytes * 10;
  for (; tenths >= 10240 && unit + 1 < units.size(); ++unit)
    tenths /= 1024;
  if (unit == 0) return std::to_string(bytes) + "B";
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + units[unit];
}

// What the system counts as this process's, in bytes.
std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t whole = 0;
  std::uint64_t resident = 0;
  statm >> whole >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void memory(RedisCall& call, const NodeReport::Figures& figures, Section out) {
  const NodeOptions& options = *call.server().options;
  const std::uint64_t resident = resident_bytes();
  out.field("used_memory", figures.memory_bytes)
      .field("used_memory_human", in_units(figures.memory_bytes))
      .field("used_memory_rss", resident)
      .field("used_memory_rss_human", in_units(resident))
      .field("maxmemory", options.memory_limit)
      .field("maxmemory_human", in_units(options.memory_limit))
      .field("maxmemory_policy", options.evict == Eviction::none ? "noeviction" : "allkeys-lru");
}

void persistence(RedisCall& call, const NodeReport::Figures& figures, Section out) {
  const Saves& saves = *call.server().saves;
  out.field("loading", 0)
      .field("rdb_changes_since_last_save", figures.unflushed_records)
      .field("rdb_bgsave_in_progress", saves.running() ? 1 : 0)
      .field("rdb_last_save_time", figures.checkpoint_unix_seconds)
      .field("rdb_last_bgsave_status", saves.failed() ? "err" : "ok")
      .field("aof_enabled", figures.on_disk ? 1 : 0)
      .field("checkpoints", figures.checkpoints);
}

void statistics(RedisCall& call, const NodeReport::Figures& node, Section out) {
  const NodeReport::Figures figures = call.server().redis->since_reset(node);
  const RedisChannels& channels = call.server().listeners->channels();
  out.field("total_connections_received", figures.connections_total)
      .field("rejected_connections", figures.connections_refused)
      .field("total_commands_processed", figures.commands_total)
      .field("total_error_replies", figures.errors_total)
      .field("expired_keys", figures.expired)
      .field("evicted_keys", figures.evictions)
      .field("cache_hits", figures.cache_hits)
      .field("cache_misses", figures.cache_misses)
      .field("pubsub_channels", channels.channels("*").size())
      .field("pubsub_patterns", channels.patterns())
      .field("total_net_repl_input_bytes", figures.bytes_from_peers)
      .field("total_net_repl_output_bytes", figures.bytes_to_peers);
}

// Every node takes writes; the others are no replicas of this one.
void replication(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("role", "master").field("connected_slaves", 0).field("healthy_nodes", figures.healthy);
}

void processor(RedisCall&, const NodeReport::Figures&, Section out) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    const std::string fraction = std::to_string(time.tv_usec);
    return std::to_string(time.tv_sec) + "." + std::string(6 - fraction.size(), '0') + fraction;
  };
  out.field("used_cpu_sys", seconds(usage.ru_stime))
      .field("used_cpu_user", seconds(usage.ru_utime));
}

std::string in_microseconds(std::uint64_t nanoseconds, std::uint64_t calls) {
  const std::uint64_t hundredths = calls == 0 ? 0 : nanoseconds / calls / 10;
  const std::string fraction = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + std::string(2 - fraction.size(), '0') + fraction;
}

void command_statistics(RedisCall& call, const NodeReport::Figures&, Section out) {
  const auto counts = call.server().redis->figures.commands();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const RedisCommandCounts& of = counts[i];
    if (of.calls == 0 && of.rejected == 0) continue;
    out.field(
        "cmdstat_" + std::string(redis_commands()[i].name),
        "calls=" + std::to_string(of.calls) + ",usec=" + std::to_string(of.nanoseconds / 1000) +
            ",usec_per_call=" + in_microseconds(of.nanoseconds, of.calls) + ",rejected_calls=" +
            std::to_string(of.rejected) + ",failed_calls=" + std::to_string(of.failed));
  }
}

void error_statistics(RedisCall& call, const NodeReport::Figures&, Section out) {
  for (const auto& [kind, count] : call.server().redis->figures.errors())
    out.field("errorstat_" + kind, "count=" + std::to_string(count));
}

// The upper end of the bucket in which so much of the calls (in thousandths) is over.
std::uint64_t percentile(const RedisCommandCounts& counts, std::uint64_t thousandths) {
  std::uint64_t sum = 0;
  std::size_t bucket = 0;
  for (; bucket + 1 < counts.by_time.size(); ++bucket) {
    sum += counts.by_time[bucket];
    if (sum * 1000 >= counts.calls * thousandths) break;
  }
  return std::uint64_t{1} << bucket;
}

void latency_statistics(RedisCall& call, const NodeReport::Figures&, Section out) {
  const auto counts = call.server().redis->figures.commands();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i].calls == 0) continue;
    const auto at = [&](std::uint64_t thousandths) {
      return std::to_string(percentile(counts[i], thousandths)) + ".000";
    };
    out.field("latency_percentiles_usec_" + std::string(redis_commands()[i].name),
              "p50=" + at(500) + ",p99=" + at(990) + ",p99.9=" + at(999));
  }
}

void cluster(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("cluster_enabled", 0)
      .field("clock_offset_ms", std::to_string(figures.clock_offset_milliseconds))
      .field("clock_fenced", figures.clock_fenced ? 1 : 0);
}

void keyspace(RedisCall& call, const NodeReport::Figures&, Section out) {
  for (std::int64_t database = 0; database < redis_databases; ++database) {
    const std::string name = redis_collection(database);
    if (!call.session().grant().may(Role::read, name)) continue;
    const Collection* collection = call.database().find(name);
    const CollectionCounts counts =
        collection == nullptr ? CollectionCounts{} : collection->counts();
    // Keys with a deadline are not counted, so that Redis' `expires` is left out.
    if (counts.live > 0)
      out.field("db" + std::to_string(database),
                "keys=" + std::to_string(counts.live) + ",bytes=" + std::to_string(counts.bytes));
  }
}

struct InfoSection {
  Bytes name;
  Bytes heading;
  void (*write)(RedisCall&, const NodeReport::Figures&, Section);
  bool is_usual = true;  // Is shown to who names no section.
};
constexpr std::array sections{
    InfoSection{"server", "# Server", server},
    InfoSection{"clients", "# Clients", clients},
    InfoSection{"memory", "# Memory", memory},
    InfoSection{"persistence", "# Persistence", persistence},
    InfoSection{"stats", "# Stats", statistics},
    InfoSection{"replication", "# Replication", replication},
    InfoSection{"cpu", "# CPU", processor},
    InfoSection{"commandstats", "# Commandstats", command_statistics, false},
    InfoSection{"errorstats", "# Errorstats", error_statistics},
    InfoSection{"latencystats", "# Latencystats", latency_statistics, false},
    InfoSection{"cluster", "# Cluster", cluster},
    InfoSection{"keyspace", "# Keyspace", keyspace},
};

bool is_wanted(RedisCall& call, const InfoSection& section) {
  if (call.count() == 1) return section.is_usual;
  return std::ranges::any_of(call.words().subspan(1), [&](Bytes word) {
    return is_word(word, section.name) || (section.is_usual && is_word(word, "default")) ||
           is_word(word, "all") || is_word(word, "everything");
  });
}

}  // namespace

// INFO [section ...]
void info(RedisCall& call) {
  const NodeReport::Figures figures = call.server().report.figures();
  std::string text;
  for (const InfoSection& section : sections) {
    if (!is_wanted(call, section)) continue;
    if (!text.empty()) text += "\r\n";
    (text += section.heading) += "\r\n";
    section.write(call, figures, Section(text));
  }
  call.reply().verbatim(text);
}

}  // namespace dhrt::redis
