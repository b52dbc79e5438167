#include "node/option_table.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "node/cluster_keys.h"
#include "node/http_protocol.h"
#include "node/machine.h"
#include "node/nkvd_names.h"
#include "node/redis_events.h"
#include "protocol/duration.h"
#include "protocol/letter_case.h"

namespace dhrt {

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = kib * kib;
constexpr std::uint64_t gib = mib * kib;
constexpr std::uint64_t tib = gib * kib;

using O = NodeOptions;
using Words = std::span<const std::string_view>;

// In the order of the enumerations that they name.
constexpr std::array<std::string_view, 5> level_words{"trace", "debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> request_log_words{"text", "json"};
constexpr std::array<std::string_view, 3> durability_words{"sync", "interval", "none"};
constexpr std::array<std::string_view, 3> eviction_words{"none", "lru", "s3fifo"};

constexpr std::array<std::string_view, 4> terminator_words{"none", "4", "17", "23"};

void choose_terminator(O& options, std::size_t word) {
  options.hermod_terminator = static_cast<hermod::Terminator>(word);
}
void choose_level(O& options, std::size_t word) {
  options.log_level = static_cast<LogThreshold>(word);
}
void choose_request_log_format(O& options, std::size_t word) {
  options.log_requests_format = static_cast<RequestLogFormat>(word);
}
void choose_durability(O& options, std::size_t word) {
  options.durability = static_cast<Durability>(word);
}
void choose_eviction(O& options, std::size_t word) {
  options.evict = static_cast<Eviction>(word);
}
void choose_cache_eviction(O& options, std::size_t word) {  // None of "none".
  options.cache_evict = static_cast<Eviction>(word + 1);
}

constexpr std::array table{
    OptionInfo{"bind", "HOST:PORT", "0.0.0.0:7453", "127.0.0.1:7453",
               "Listen here, for clients and peers alike.", "Address", BindOption{}},
    OptionInfo{"advertise", "HOST:PORT", "", "10.0.0.7:7453",
               "Tell peers this address; without it, the bound one or the one that reaches them.",
               "Address", AdvertiseOption{}},
    OptionInfo{"name", "NAME", "", "berlin-1",
               "Show this name in lists; without it, the name of the machine.", "Address",
               TextOption{&O::name, false}, "HOSTNAME"},
    OptionInfo{"allow-public", "", "false", "true",
               "Take clients without a token, and nodes without a key, from any address.",
               "Address", SwitchOption{&O::allow_public}},

    OptionInfo{"token-file", "FILE", "", "/etc/dhrt/token",
               "Serve only who shows the token in this file, or in the variable DHRT_TOKEN.",
               "Access", TextOption{&O::token_file, true}},
    OptionInfo{"auth-file", "FILE", "", "/etc/dhrt/tokens.toml",
               "Take the tokens of this file, each with its role and collections.", "Access",
               TextOption{&O::auth_file, true}},
    OptionInfo{"hermod-anonymous", "", "false", "true",
               "Let Hermod's clients without a token read and add, as Hermod does.", "Access",
               SwitchOption{&O::hermod_anonymous}},
    OptionInfo{"tls-cert", "FILE", "", "/etc/dhrt/node.pem",
               "Serve clients that begin with TLS, by this certificate and those that signed it.",
               "Access", TextOption{&O::tls_cert, true}},
    OptionInfo{"tls-key", "FILE", "", "/etc/dhrt/node.key", "Its key.", "Access",
               TextOption{&O::tls_key, true}},
    OptionInfo{"tls-client-ca", "FILE", "", "/etc/dhrt/clients.pem",
               "Of clients that speak TLS, serve those whose certificate these signed.", "Access",
               TextOption{&O::tls_client_ca, true}},
    OptionInfo{"tls-self-signed", "", "false", "true",
               "Serve TLS by a certificate that the node makes and keeps in --data-dir.", "Access",
               SwitchOption{&O::tls_self_signed}},
    OptionInfo{"tls-only", "", "false", "true",
               "Serve nobody on a TCP port who does not speak TLS; nodes need --peer-tls.",
               "Access", SwitchOption{&O::tls_only}},

    OptionInfo{"listen", "DIALECT://HOST:PORT", "", "resp+unix:///run/dhrt.sock",
               "Listen there, too: dhrt, hati, rpc, hermod, resp, http; repeat for more.",
               "Listeners", ListenOption{}},
    OptionInfo{"tcp", "", "false", "true", "Serve Hati's text protocol.", "Listeners",
               SwitchOption{&O::tcp}},
    OptionInfo{"tcp-host", "HOST", "", "127.0.0.1", "On this address; default: that of --bind.",
               "Listeners", HostOption{&O::tcp_host}},
    OptionInfo{"tcp-tls", "", "false", "true", "Serve it to clients that speak TLS only.",
               "Listeners", SwitchOption{&O::tcp_tls}},
    OptionInfo{"tcp-port", "PORT", "4242", "4243", "On this port.", "Listeners",
               PortOption{&O::tcp_port}},
    OptionInfo{"rpc", "", "false", "true", "Serve Hati's JSON-RPC.", "Listeners",
               SwitchOption{&O::rpc}},
    OptionInfo{"rpc-host", "HOST", "", "127.0.0.1", "On this address; default: that of --bind.",
               "Listeners", HostOption{&O::rpc_host}},
    OptionInfo{"rpc-port", "PORT", "6767", "6666", "On this port.", "Listeners",
               PortOption{&O::rpc_port}},
    OptionInfo{"hermod", "", "false", "true", "Serve Hermod's protocol.", "Listeners",
               SwitchOption{&O::hermod}},
    OptionInfo{"hermod-port", "PORT", "2088", "2089", "On this port.", "Listeners",
               PortOption{&O::hermod_port}},
    OptionInfo{"hermod-terminator", "BYTE", "none", "23",
               "End its replies as releases do: with byte 4, 17 or 23; none: as its manual does.",
               "Listeners", ChoiceOption{terminator_words, choose_terminator}},
    OptionInfo{"hermod-config", "FILE", "", "/etc/hermod/config.json",
               "Read its token there; default: config.json beside the program, then here.",
               "Listeners", TextOption{&O::hermod_config, true}},
    OptionInfo{"resp", "", "false", "true", "Serve Redis clients on a port of their own.",
               "Listeners", SwitchOption{&O::resp}},
    OptionInfo{"resp-port", "PORT", "6379", "6380", "On this port.", "Listeners",
               PortOption{&O::resp_port}},
    OptionInfo{"http", "", "false", "true",
               "Serve HTTP on a port of its own; a variable PORT turns it on, too.", "Listeners",
               SwitchOption{&O::http}},
    OptionInfo{"http-port", "PORT", "8080", "8000", "On this port.", "Listeners",
               PortOption{&O::http_port}, "PORT"},

    OptionInfo{"cors-origin", "ORIGIN", "", "https://app.example.org",
               "Serve pages of this origin in browsers; repeat for more. Others are refused.",
               "Listeners", OriginOption{}},

    OptionInfo{"join", "HOST:PORT", "", "10.0.0.7:7453",
               "Join the cluster of this node; repeat for more addresses to try.", "Cluster",
               JoinOption{}},
    OptionInfo{"join-timeout", "TIME", "30s", "1m", "Give up joining after this long.", "Cluster",
               DurationOption{&O::join_timeout, false}},
    OptionInfo{"found-if-alone", "TIME", "0", "10s",
               "Found a cluster if nobody to join answers for so long; for nodes started alike.",
               "Cluster", DurationOption{&O::found_if_alone, true}},
    OptionInfo{"leave-timeout", "TIME", "10s", "30s",
               "When told to stop, take this long to say goodbye.", "Cluster",
               DurationOption{&O::leave_timeout, false}},
    OptionInfo{"fast", "", "false", "true",
               "Timers for nodes side by side: a death is known after a second or two.", "Cluster",
               SwitchOption{&O::fast}},
    OptionInfo{"lan", "", "false", "true", "Timers for nodes of one site; so it is by default.",
               "Cluster", SwitchOption{&O::lan}},
    OptionInfo{
        "evict-after", "TIME", "24h", "7d",
        "Give up a node that was gone for so long; deletes no longer wait for it. 0 = never.",
        "Cluster", DurationOption{&O::evict_after, true}},
    OptionInfo{"remember-deletes", "TIME", "5m", "1h",
               "Keep a delete so long after every node has it, for who watches and was cut off.",
               "Cluster", DurationOption{&O::remember_deletes, true}},
    OptionInfo{"join-delay-max", "TIME", "2ms", "5ms",
               "Hand data to a joining node slower if clients wait longer, at p99. 0 = full speed.",
               "Cluster", DurationOption{&O::join_delay_max, true}},
    OptionInfo{"replace", "NODE", "", "db2",
               "Take the place of a node that is gone: give it up as soon as this one votes.",
               "Cluster", TextOption{&O::replace, true}},
    OptionInfo{"wan", "", "false", "true",
               "Timers for nodes far apart. Give all nodes of a cluster the same of the three.",
               "Cluster", SwitchOption{&O::wan}},
    OptionInfo{"probe-interval", "TIME", "500ms", "1s",
               "Ask one peer this often if it is alive; 250ms with --fast, 2s with --wan.",
               "Cluster", DurationOption{&O::probe_interval, false}},
    OptionInfo{"suspicion-multiplier", "N", "4", "8",
               "Probe intervals that a silent peer gets before it is called dead; 5 with --wan.",
               "Cluster", CountOption{&O::suspicion_multiplier, 1, 100}},
    OptionInfo{"max-clock-offset", "TIME", "500ms", "2s",
               "Take no writes while this clock is further off those of most nodes, of 3 or more.",
               "Cluster", DurationOption{&O::max_clock_offset, false}},

    OptionInfo{"nkvd-mesh", "", "false", "true",
               "Be a node in a mesh of nkvd: take in nodes that ping, pass writes on to them.",
               "Cluster", SwitchOption{&O::nkvd_mesh}},
    OptionInfo{"mesh-network-url", "URL", "", "http://lb",
               "The same, and find the mesh, or a cluster to join, at this address.", "Cluster",
               MeshUrlOption{}, "MESH_NETWORK_URL"},
    OptionInfo{"cluster-key-file", "FILE", "", "/etc/dhrt/cluster.key",
               "Link with nodes that have this key only; a second one while keys are changed.",
               "Cluster", PathListOption{&O::cluster_key_files, cluster_keys_max}},
    OptionInfo{"peer-tls", "", "false", "true",
               "Encrypt links, and link with nodes only whose certificate --peer-tls-ca signed.",
               "Cluster", SwitchOption{&O::peer_tls}},
    OptionInfo{"peer-tls-cert", "FILE", "", "/etc/dhrt/node.pem",
               "The certificate for that; default: that of --tls-cert.", "Cluster",
               TextOption{&O::peer_tls_cert, true}},
    OptionInfo{"peer-tls-key", "FILE", "", "/etc/dhrt/node.key",
               "Its key; default: that of --tls-key.", "Cluster",
               TextOption{&O::peer_tls_key, true}},
    OptionInfo{"peer-tls-ca", "FILE", "", "/etc/dhrt/nodes.pem",
               "Who has a certificate that this one signed is a node of the cluster.", "Cluster",
               TextOption{&O::peer_tls_ca, true}},

    OptionInfo{"data-dir", "PATH", "./data", "/var/lib/dhrt", "Keep the data in this folder.",
               "Storage", TextOption{&O::data_dir, false}},
    OptionInfo{"memory", "", "false", "true",
               "Keep the data in memory; only who the node is stays on disk.", "Storage",
               SwitchOption{&O::memory}},
    OptionInfo{"backup-dir", "PATH", "", "/mnt/backups",
               "Make backups in folders below this one; default: backups in --data-dir.", "Storage",
               TextOption{&O::backup_dir, true}},
    OptionInfo{"durability", "MODE", "sync", "interval",
               "A write is answered when it is synced (sync) or only written (interval, none).",
               "Storage", ChoiceOption{durability_words, choose_durability}},
    OptionInfo{"sync-interval", "TIME", "100ms", "1s",
               "With --durability interval: sync this often; a power cut loses no more.", "Storage",
               DurationOption{&O::sync_interval, false}},
    OptionInfo{"log-segment-bytes", "SIZE", "64mb", "16mb",
               "Size of one file of the log; two or more are kept for each event loop.", "Storage",
               SizeOption{&O::log_segment_bytes, 64 * kib, gib}},
    OptionInfo{"checkpoint-bytes", "SIZE", "256mb", "1gb",
               "Bring the log into the files of the collections when it holds so much.", "Storage",
               SizeOption{&O::checkpoint_bytes, 64 * kib, tib}},
    OptionInfo{"checkpoint-age", "TIME", "10s", "1m", "Bring it there after this long in any case.",
               "Storage", DurationOption{&O::checkpoint_age, false}},
    OptionInfo{"unflushed-max", "SIZE", "1gb", "4gb",
               "Slow writes down at half of so much that is in the log only, then refuse them.",
               "Storage", SizeOption{&O::unflushed_max, 2 * mib, tib}},
    OptionInfo{"cache-bytes", "SIZE|auto", "auto", "2gb",
               "Memory for records that are in the files, too; auto: a quarter of all memory.",
               "Storage", SizeOption{&O::cache_bytes, mib, tib, "auto"}},
    OptionInfo{"cache-evict", "POLICY", "s3fifo", "lru",
               "Which of them to forget when that is full: lru or s3fifo.", "Storage",
               ChoiceOption{Words(eviction_words).subspan(1), choose_cache_eviction}},
    OptionInfo{"memory-limit", "SIZE|none", "none", "4gb",
               "Memory for collections that are kept in memory, all together.", "Storage",
               SizeOption{&O::memory_limit, mib, tib, "none"}},
    OptionInfo{"evict", "POLICY", "none", "s3fifo",
               "At that limit: refuse writes (none), or forget records by lru or s3fifo.",
               "Storage", ChoiceOption{eviction_words, choose_eviction}},
    OptionInfo{"scrub-rate", "SIZE|off", "8mb", "1mb",
               "Read so much of the files per second, once a day, to find what the disk damaged.",
               "Storage", SizeOption{&O::scrub_rate, mib, tib, "off"}},

    OptionInfo{"read-timeout", "TIME", "2s", "500ms",
               "Wait this long for other nodes when a key is not here, or a level asks for them.",
               "Timeouts", DurationOption{&O::read_timeout, false}},
    OptionInfo{"write-timeout", "TIME", "5s", "1s",
               "Wait this long for other nodes to have a write of a level above one.", "Timeouts",
               DurationOption{&O::write_timeout, false}},
    OptionInfo{
        "handshake-timeout", "TIME", "10s", "3s",
        "End a client whose first line, head of a request or reading of replies takes longer.",
        "Timeouts", DurationOption{&O::handshake_timeout, false}},
    OptionInfo{"timeout", "TIME", "0", "5m", "End a client that is silent for so long; 0: never.",
               "Timeouts", DurationOption{&O::timeout, true}},

    OptionInfo{"max-value-bytes", "SIZE", "16mb", "64mb", "Refuse larger values; up to 512mb.",
               "Limits", SizeOption{&O::max_value_bytes, 1, 512 * mib}},
    OptionInfo{"max-clients", "N", "10000", "50000", "Refuse more connections.", "Limits",
               CountOption{&O::max_clients, 1, 1000000}},
    OptionInfo{"max-collections", "N", "10000", "100",
               "Refuse more collections; each takes two open files, see `ulimit -n`.", "Limits",
               CountOption{&O::max_collections, 1, 1000000}},
    OptionInfo{"output-buffer-max", "SIZE", "64mb", "256mb",
               "End a client that leaves so much unread for --handshake-timeout.", "Limits",
               SizeOption{&O::output_buffer_max, mib, mib* mib}},

    OptionInfo{"cpu-num", "N|auto", "auto", "4",
               "Event loops that serve clients, up to 64; auto: all processors but one.", "Process",
               LoopOption{}},
    OptionInfo{"notify-keyspace-events", "LETTERS", "", "KEA",
               "Tell what happens to keys on channels, as Redis does; on every node alike.",
               "Process", EventsOption{}},
    OptionInfo{"log-level", "LEVEL", "info", "debug", "Of trace, debug, info, warning, error.",
               "Process", ChoiceOption{level_words, choose_level}},
    OptionInfo{"log-requests", "FILE", "", "/var/log/dhrt-requests",
               "Write a line for each request there, or with - to standard error.", "Process",
               TextOption{&O::log_requests, true}},
    OptionInfo{"log-requests-format", "FORMAT", "text", "json", "Of these lines: text or json.",
               "Process", ChoiceOption{request_log_words, choose_request_log_format}},
    OptionInfo{"config",
               "FILE",
               "",
               "/etc/dhrt.toml",
               "Read options from this TOML file, named as here with _ for -.",
               "Process",
               TextOption{&O::config, true},
               {},
               false},
    OptionInfo{"print-config",
               "",
               "false",
               "true",
               "Print every option, its value and where it came from, then end.",
               "Process",
               SwitchOption{&O::print_config},
               {},
               false},
};

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

Result<std::uint64_t> parse_count(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stop != end) return bad("not a whole number");
  return number;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes % tib == 0) return std::to_string(bytes / tib) + "tb";
  if (bytes % gib == 0) return std::to_string(bytes / gib) + "gb";
  if (bytes % mib == 0) return std::to_string(bytes / mib) + "mb";
  if (bytes % kib == 0) return std::to_string(bytes / kib) + "kb";
  return std::to_string(bytes) + "b";
}

// "trace, debug, info, warning or error"
std::string one_of(Words words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

struct Apply {
  const OptionInfo& info;
  const std::string& text;
  NodeOptions& options;

  tl::unexpected<Error> wanted(const std::string& what) const {
    return bad(" is '" + text + "'; " + what + ", e.g. " + std::string(info.example));
  }

  Status operator()(const TextOption& option) const {
    if (text.empty() && !option.may_be_empty) return wanted("it must not be empty");
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }))
      return wanted("it must not hold control characters");
    options.*option.field = text;
    return {};
  }
  Status operator()(const SwitchOption& option) const {
    const bool yes = text == "true" || text == "1" || text == "yes";
    const bool no = text == "false" || text == "0" || text == "no";
    if (!yes && !no) return wanted("true or false is wanted");
    options.*option.field = yes;
    return {};
  }
  Status operator()(const DurationOption& option) const {
    const auto duration = parse_duration(text);
    if (!duration) return bad(": " + duration.error().message);
    if (duration->count() == 0 && !option.may_be_zero) return wanted("it must be longer than 0");
    options.*option.field = *duration;
    return {};
  }
  Status operator()(const SizeOption& option) const {
    if (!option.zero_word.empty() && text == option.zero_word) {
      options.*option.field = 0;
      return {};
    }
    const auto bytes = parse_byte_size(text);
    if (!bytes) return bad(": " + bytes.error().message);
    if (text.back() >= '0' && text.back() <= '9')
      return wanted("a size needs a unit (b, kb, mb, gb)");
    if (*bytes < option.min || *bytes > option.max)
      return wanted("it must be from " + size_text(option.min) + " to " + size_text(option.max));
    options.*option.field = *bytes;
    return {};
  }
  Status operator()(const CountOption& option) const {
    const auto count = parse_count(text);
    if (!count) return wanted("a whole number is wanted");
    if (*count < option.min || *count > option.max)
      return wanted("it must be from " + std::to_string(option.min) + " to " +
                    std::to_string(option.max));
    options.*option.field = *count;
    return {};
  }
  Status operator()(const EventsOption&) const {
    const auto flags = parse_event_flags(text);
    if (!flags) return wanted("letters of KEg$xnmA, as Redis has them");
    options.notify_keyspace_events = *flags;
    return {};
  }
  Status operator()(const LoopOption&) const {
    options.cpu_num = 0;
    if (text == "auto") return {};
    const auto count = parse_count(text);
    if (!count) return wanted("a whole number or auto is wanted");
    if (*count < 1 || *count > event_loops_max)
      return wanted("it must be from 1 to " + std::to_string(event_loops_max) + ", or auto");
    options.cpu_num = *count;
    return {};
  }
  Status operator()(const ChoiceOption& option) const {
    const auto found = std::ranges::find(option.words, text);
    if (found == option.words.end()) return wanted(one_of(option.words) + " is wanted");
    option.choose(options, static_cast<std::size_t>(found - option.words.begin()));
    return {};
  }
  Status operator()(const BindOption&) const {
    auto address = parse_address(text);
    if (!address) return bad(": " + address.error().message);
    options.bind = *std::move(address);
    return {};
  }
  Status operator()(const AdvertiseOption&) const {
    options.advertise.reset();
    if (text.empty()) return {};
    auto address = parse_remote_address(text);
    if (!address) return bad(": " + address.error().message);
    options.advertise = *std::move(address);
    return {};
  }
  Status operator()(const MeshUrlOption&) const {
    options.mesh_network_url.reset();
    if (text.empty()) return {};
    auto address = nkvd::parse_mesh_url(text);
    if (!address) return bad(": " + address.error().message);
    options.mesh_network_url = *std::move(address);
    options.nkvd_mesh = true;
    return {};
  }
  // Parses what stands between the commas.
  template <typename Parse, typename Item>
  Status list(Parse parse, std::vector<Item>& items) const {
    items.clear();
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      auto item = parse(Bytes(text).substr(begin, end - begin));
      if (!item) return bad(": " + item.error().message);
      items.push_back(*std::move(item));
      begin = end + 1;
    }
    return {};
  }
  Status operator()(const JoinOption&) const { return list(parse_remote_address, options.join); }
  Status operator()(const ListenOption&) const {
    if (auto status = list(parse_endpoint, options.listen); !status) return status;
    for (Endpoint& endpoint : options.listen)
      endpoint.flag = "--listen";
    return {};
  }
  Status operator()(const PathListOption& option) const {
    auto& paths = options.*option.field;
    const auto parse = [](Bytes path) -> Result<std::string> {
      if (path.empty()) return bad("a path is empty");
      if (std::ranges::any_of(path, [](unsigned char c) { return c < ' '; }))
        return bad("a path must not hold control characters");
      return std::string(path);
    };
    if (auto status = list(parse, paths); !status) return status;
    if (paths.size() > option.count_max)
      return bad(" has " + std::to_string(paths.size()) + " files; at most " +
                 std::to_string(option.count_max) + " are taken");
    return {};
  }
  Status operator()(const OriginOption&) const { return list(parse_origin, options.cors_origins); }
  Status operator()(const PortOption& option) const {
    const auto port = parse_count(text);
    if (!port || *port > 65535) return wanted("a port from 0 (any free one) to 65535 is wanted");
    options.*option.field = *port;
    return {};
  }
  Status operator()(const HostOption& option) const {
    (options.*option.field).clear();
    if (text.empty()) return {};
    // As in an address, where an IPv6 host has brackets; here it needs none.
    const bool bare = text.find(':') != std::string::npos && !text.starts_with('[');
    if (text.starts_with('[') && !text.ends_with(']')) return wanted("a host without a port");
    auto address = parse_address(bare ? "[" + text + "]" : text);
    if (!address) return bad(": " + address.error().message);
    options.*option.field = std::move(address->host);
    return {};
  }
};

std::string spell(std::string_view name, char dash, bool upper) {
  std::string text(name);
  for (char& c : text) {
    if (c == '-') c = dash;
    if (upper) c = upper_case(c);
  }
  return text;
}

}  // namespace

std::span<const OptionInfo> option_table() {
  return table;
}

bool is_list(const OptionInfo& option) {
  return std::holds_alternative<JoinOption>(option.kind) ||
         std::holds_alternative<ListenOption>(option.kind) ||
         std::holds_alternative<PathListOption>(option.kind) ||
         std::holds_alternative<OriginOption>(option.kind);
}

bool is_switch(const OptionInfo& option) {
  return std::holds_alternative<SwitchOption>(option.kind);
}

std::string variable_name(const OptionInfo& option) {
  return "DHRT_" + spell(option.name, '_', true);
}

std::string file_key(const OptionInfo& option) {
  return spell(option.name, '_', false);
}

Status apply_option(const OptionInfo& option, const std::string& text, const std::string& place,
                    NodeOptions& options) {
  auto applied = std::visit(Apply{option, text, options}, option.kind);
  if (applied) return {};
  return bad(place + applied.error().message);
}

}  // namespace dhrt
