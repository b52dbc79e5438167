// What `dhrt start` and `dhrt join` can be told, read from four places.
//
// Precedence: flag, then environment, then configuration file (TOML), then default. Each value
// remembers where it came from. One table (option_table.h) says everything about an option, so
// the flag --read-timeout, the variable DHRT_READ_TIMEOUT and the key read_timeout agree.
//
// Units: durations are milliseconds, sizes bytes; as text both are written with their unit.
// Errors: invalid_argument; the message names the place, the value and what to write instead.
// Threads: reading is done before any thread starts; the struct is plain data afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/options.h"
#include "node/endpoint.h"
#include "node/request_log_format.h"
#include "protocol/hermod.h"
#include "storage/base/result.h"
#include "storage/base/time.h"
#include "storage/engine.h"

namespace dhrt {

// Where a value came from. `detail` is the variable's name or the file's path.
struct ValueSource {
  enum class Kind { built_in, file, environment, flag };
  Kind kind = Kind::built_in;
  std::string detail;
};

// One option as it was decided on: its text, as a flag would be given it.
struct Setting {
  std::string text;
  ValueSource source;
};

// Which log lines are shown (the lines themselves have a LogLevel, cluster/actions.h).
enum class LogThreshold { trace, debug, info, warning, error };

struct NodeOptions {
  Address bind;
  std::optional<Address> advertise;  // Absent: the bound address, or the one that reaches a peer.
  std::string name;
  std::string host_name;  // What the machine calls itself.
  bool allow_public = false;

  std::vector<Endpoint> listen;  // Beside `bind`; the switches below add to them.
  bool tcp = false;              // Hati's text protocol, in its own words.
  std::string tcp_host;          // Here and below, empty: that of `bind`.
  std::uint64_t tcp_port = 0;
  bool rpc = false;
  std::string rpc_host;
  std::uint64_t rpc_port = 0;
  bool hermod = false;
  std::uint64_t hermod_port = 0;
  hermod::Terminator hermod_terminator = hermod::Terminator::manual;
  std::string hermod_config;  // Path; empty: config.json, if there is one.
  std::string hermod_token;   // From there, or from DEL_TOKEN; empty: none. Never shown.
  bool resp = false;
  std::uint64_t resp_port = 0;
  bool http = false;
  std::uint64_t http_port = 0;

  std::string token_file;  // Paths; empty: none. Access::load() reads them.
  std::string auth_file;
  std::string token;  // Of DHRT_TOKEN; never shown.
  bool hermod_anonymous = false;
  std::string tls_cert;  // Paths; empty: none. TlsContext reads them.
  std::string tls_key;
  std::string tls_client_ca;
  bool tls_self_signed = false;
  bool tls_only = false;  // On every TCP port.
  bool tcp_tls = false;
  std::vector<std::string> cluster_key_files;  // Paths; ClusterKeys::load() reads them.
  bool peer_tls = false;
  std::string peer_tls_cert;  // Paths; empty: those for clients.
  std::string peer_tls_key;
  std::string peer_tls_ca;
  std::vector<std::string> cors_origins;  // "https://app.example.org"

  bool nkvd_mesh = false;
  std::optional<Address> mesh_network_url;  // Turns nkvd_mesh on, too.

  std::vector<Address> join;  // Empty: found a cluster, or go back to the one on disk.

  std::string data_dir;
  bool memory = false;
  std::string backup_dir;     // Empty: backups/ in the data directory.
  std::uint64_t cpu_num = 0;  // Event loops; 0: as many as this machine makes good use of.

  Durability durability = Durability::sync;
  Duration sync_interval{};
  std::uint64_t log_segment_bytes = 0;
  std::uint64_t checkpoint_bytes = 0;
  Duration checkpoint_age{};
  std::uint64_t unflushed_max = 0;
  std::uint64_t cache_bytes = 0;  // 0: a quarter of the memory.
  Eviction cache_evict = Eviction::s3fifo;
  std::uint64_t memory_limit = 0;  // 0: none.
  Eviction evict = Eviction::none;
  std::uint64_t scrub_rate = 0;  // Bytes per second; 0: off.

  Duration read_timeout{};
  Duration write_timeout{};
  Duration join_timeout{};
  Duration found_if_alone{};                            // 0: never.
  Duration evict_after = ClusterOptions().evict_after;  // 0: never.
  Duration remember_deletes{};
  Duration join_delay_max{};  // 0: joins are not slowed down.
  std::string replace;        // Whose place this node takes: a name, an id or an address.
  Duration handshake_timeout{};
  Duration leave_timeout{};
  Duration timeout{};  // Of an idle client; 0: never.
  bool fast = false;   // At most one of the three; none is lan.
  bool lan = false;
  bool wan = false;
  Duration probe_interval{};
  std::uint64_t suspicion_multiplier = 0;
  Duration max_clock_offset{};

  std::uint64_t max_value_bytes = 0;
  std::uint64_t output_buffer_max = 0;
  std::uint64_t max_clients = 0;
  std::uint64_t max_collections = 0;

  LogThreshold log_level = LogThreshold::info;
  std::string log_requests;  // Path; empty: off. "-": standard error.
  RequestLogFormat log_requests_format = RequestLogFormat::text;
  std::uint32_t notify_keyspace_events = 0;  // Of node/redis_events.h.
  std::string config;                        // Path; empty: no file.
  bool print_config = false;

  std::vector<Setting> settings;  // In the order of option_table().
};

// Everything that the node listens on, its own address first.
std::vector<Endpoint> endpoints_of(const NodeOptions& options);

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

struct OptionInput {
  std::vector<std::string> arguments;  // Behind the word `start` or `join`.
  bool joins = false;                  // Bare words are addresses, and at least one is needed.
  Environment environment;
  std::string host_name;       // What the machine calls itself: the default of --name.
  std::string program_folder;  // Where the program is; empty: unknown.
};
Result<NodeOptions> read_options(const OptionInput& input);
// The set of timers that was asked for.
ClusterOptions timing_of(const NodeOptions& options);

// Every setting with its source, as TOML that --config reads back.
std::string print_config(const NodeOptions& options);

// The options by group, at most 100 columns wide.
std::string options_help();

}  // namespace dhrt
