// What a node says of its storage: every figure is there, and is what happened.
#include <limits>

#include "protocol/json.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t records = 2000;
constexpr std::int64_t value_bytes = 100;

struct Expected {
  const char* group;  // Empty: stats itself.
  const char* name;
  std::int64_t min;
  std::int64_t max;
};

std::int64_t figure(const json::Document& stats, const Expected& of) {
  const bool at_top = *of.group == '\0';
  const auto group = at_top ? std::optional(stats.root()) : stats.root().member(of.group);
  if (!group) return -1;
  const auto value = group->member(of.name);
  return value ? value->integer().value_or(-1) : -1;
}

// Records, a few of them read, deleted or expired, and all of it in the files.
void work(TestClient& client) {
  std::string lines;
  for (std::int64_t i = 0; i < records; ++i)
    lines += "set k" + std::to_string(i) + " " + std::string(value_bytes, 'v') + "\n";
  client.send(lines);
  REQUIRE(client.receive(5 * records).size() == 5 * records);
  REQUIRE(client.line("del k0") == ":1\r\n");
  REQUIRE(client.line("set brief v --ttl 10ms") == "+OK\r\n");
  REQUIRE(client.bulk("get k1").size() == value_bytes);
  REQUIRE(client.bulk("backup one").find("\"path\"") != std::string::npos);
  const Time end = monotonic_now() + Duration(TestClient::patience_milliseconds);
  while (client.bulk("stats").find("\"records_expired\":1,") == std::string::npos &&
         monotonic_now() < end) {
  }
}

}  // namespace

TEST_CASE("stats: every figure of the storage is there and plausible") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(
      directory.path(), {"--max-clients", "123", "--max-collections", "45", "--cache-bytes", "64mb",
                         "--memory-limit", "32mb", "--unflushed-max", "512mb", "--checkpoint-bytes",
                         "16mb", "--max-value-bytes", "2mb"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  work(client);
  constexpr std::int64_t mib = 1 << 20;
  constexpr std::int64_t bytes = records * value_bytes;
  const std::string text = client.bulk("stats");
  CAPTURE(text);
  const auto stats = json::Document::parse(text);
  REQUIRE(stats);
  for (const Expected& expected : {
           Expected{"", "keys", records - 1, records - 1},
           Expected{"", "tombstones", 2, 2},
           Expected{"", "bytes", bytes - value_bytes, bytes * 2},
           Expected{"limits", "max_clients", 123, 123},
           Expected{"limits", "max_collections", 45, 45},
           Expected{"limits", "max_value_bytes", 2 * mib, 2 * mib},
           Expected{"limits", "cache_bytes", 64 * mib, 64 * mib},
           Expected{"limits", "memory_limit", 32 * mib, 32 * mib},
           Expected{"limits", "unflushed_max", 512 * mib, 512 * mib},
           Expected{"limits", "checkpoint_bytes", 16 * mib, 16 * mib},
           Expected{"log", "frames", 1, records * 2},
           Expected{"log", "bytes", bytes, bytes * 4},
           Expected{"log", "syncs", 1, records * 2},
           Expected{"log", "sync_microseconds", 1, any},
           Expected{"log", "sync_threads", 0, 1},
           Expected{"log", "appended_position", records, any},
           Expected{"log", "synced_position", 1, any},
           Expected{"log", "segments", 1, 100},
           Expected{"log", "bytes_unreleased", 0, bytes * 4},
           Expected{"log", "replayed_records", 0, 0},
           Expected{"log", "torn_bytes_cut", 0, 0},
           Expected{"checkpoint", "count", 1, any},
           Expected{"checkpoint", "records", records, any},
           Expected{"checkpoint", "milliseconds", 0, any},
           Expected{"checkpoint", "unflushed_records", 0, 10},
           Expected{"checkpoint", "unflushed_bytes", 0, value_bytes * 100},
           Expected{"checkpoint", "throttled_milliseconds", 0, 0},
           Expected{"checkpoint", "copy_bytes_max", value_bytes, bytes * 4},
           Expected{"checkpoint", "file_bytes", bytes, bytes * 20},
           Expected{"memory", "records", 1, records * 2},
           Expected{"memory", "bytes", bytes / 10, bytes * 20},
           Expected{"memory", "records_moved", 0, records * 2},
           Expected{"cache", "hits", 1, any},
           Expected{"cache", "misses", 0, any},
           Expected{"cache", "evictions", 0, 0},
           Expected{"scrub", "passes", 0, any},
           Expected{"scrub", "records", 0, any},
           Expected{"scrub", "bytes", 0, any},
           Expected{"scrub", "failures", 0, 0},
           Expected{"", "writes_refused", 0, 0},
           Expected{"", "records_expired", 1, 1},
           Expected{"", "records_quarantined", 0, 0},
           Expected{"", "records_healed", 0, 0},
           Expected{"", "records_damaged", 0, 0},
           Expected{"", "files_damaged", 0, 0},
           Expected{"backup", "collections", 1, 10},
           Expected{"backup", "collections_total", 1, 10},
       }) {
    const std::string name = std::string(expected.group) + "." + expected.name;
    CAPTURE(name);
    CHECK(figure(*stats, expected) >= expected.min);
    CHECK(figure(*stats, expected) <= expected.max);
  }
  CHECK(stats->root().member("disk")->string().value_or("") == "ok");
}

}  // namespace dhrt
