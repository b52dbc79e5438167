// INFO: the fields that clients and tools of Redis read, as far as there is such a thing here, and
// beside them what is dhrt's own.
#include <algorithm>
#include <array>
#include <sys/resource.h>
#include <unistd.h>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"

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

void clients(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("connected_clients", figures.connections).field("blocked_clients", 0);
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

void memory(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("used_memory", figures.memory_bytes)
      .field("used_memory_human", in_units(figures.memory_bytes))
      .field("maxmemory_policy", "noeviction");
}

void persistence(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("loading", 0)
      .field("aof_enabled", figures.on_disk ? 1 : 0)
      .field("checkpoints", figures.checkpoints);
}

void statistics(RedisCall&, const NodeReport::Figures& figures, Section out) {
  out.field("total_connections_received", figures.connections_total)
      .field("rejected_connections", figures.connections_refused)
      .field("total_commands_processed", figures.commands_total)
      .field("total_error_replies", figures.errors_total)
      .field("expired_keys", figures.expired)
      .field("evicted_keys", figures.evictions);
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

void keyspace(RedisCall& call, const NodeReport::Figures&, Section out) {
  for (std::int64_t database = 0; database < redis_databases; ++database) {
    const Collection* collection = call.database().find(redis_collection(database));
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
};
constexpr std::array sections{
    InfoSection{"server", "# Server", server},
    InfoSection{"clients", "# Clients", clients},
    InfoSection{"memory", "# Memory", memory},
    InfoSection{"persistence", "# Persistence", persistence},
    InfoSection{"stats", "# Stats", statistics},
    InfoSection{"replication", "# Replication", replication},
    InfoSection{"cpu", "# CPU", processor},
    InfoSection{"keyspace", "# Keyspace", keyspace},
};

bool is_wanted(RedisCall& call, Bytes section) {
  if (call.count() == 1) return true;
  return std::ranges::any_of(call.words().subspan(1), [&](Bytes word) {
    return is_word(word, section) || is_word(word, "default") || is_word(word, "all") ||
           is_word(word, "everything");
  });
}

}  // namespace

// INFO [section ...]
void info(RedisCall& call) {
  const NodeReport::Figures figures = call.server().report.figures();
  std::string text;
  for (const InfoSection& section : sections) {
    if (!is_wanted(call, section.name)) continue;
    if (!text.empty()) text += "\r\n";
    (text += section.heading) += "\r\n";
    section.write(call, figures, Section(text));
  }
  call.reply().verbatim(text);
}

}  // namespace dhrt::redis
