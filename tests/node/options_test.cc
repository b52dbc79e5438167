#include "node/options.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "node/option_table.h"
#include "tests/node/temporary_folder.h"

namespace dhrt {

namespace {

using Variables = std::map<std::string, std::string>;

// What is read when this is typed, with these variables.
struct Reader {
  Variables variables = {};
  bool joins = false;

  Result<NodeOptions> read(std::vector<std::string> arguments) const {
    const auto environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    return read_options({.arguments = std::move(arguments),
                         .joins = joins,
                         .environment = environment,
                         .host_name = "machine"});
  }
  std::string error(std::vector<std::string> arguments) const {
    const auto options = read(std::move(arguments));
    REQUIRE_FALSE(options);
    CHECK(options.error().code == ErrorCode::invalid_argument);
    return options.error().message;
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("options: without a word about them they have their defaults") {
  const auto options = Reader{}.read({});
  REQUIRE(options);
  CHECK(to_text(options->bind) == "0.0.0.0:7453");
  CHECK_FALSE(options->advertise);
  CHECK(options->name == "machine");
  CHECK(options->data_dir == "./data");
  CHECK_FALSE(options->memory);
  CHECK_FALSE(options->allow_public);
  CHECK(options->cpu_num == 0);
  CHECK(options->durability == Durability::sync);
  CHECK(options->sync_interval == Duration(100));
  CHECK(options->log_segment_bytes == 64u << 20);
  CHECK(options->checkpoint_bytes == 256u << 20);
  CHECK(options->checkpoint_age == Duration(10000));
  CHECK(options->unflushed_max == 1u << 30);
  CHECK(options->cache_bytes == 0);
  CHECK(options->cache_evict == Eviction::s3fifo);
  CHECK(options->memory_limit == 0);
  CHECK(options->evict == Eviction::none);
  CHECK(options->scrub_rate == 8u << 20);
  CHECK(options->read_timeout == Duration(2000));
  CHECK(options->join_timeout == Duration(30000));
  CHECK(options->handshake_timeout == Duration(10000));
  CHECK(options->leave_timeout == Duration(10000));
  CHECK(options->timeout == Duration(0));
  CHECK(options->probe_interval == Duration(500));
  CHECK(options->max_value_bytes == 16u << 20);
  CHECK(options->output_buffer_max == 64u << 20);
  CHECK(options->max_clients == 10000);
  CHECK(options->max_collections == 10000);
  CHECK(options->log_level == LogThreshold::info);
  CHECK(options->join.empty());
}

TEST_CASE("options: a flag goes before a variable, that before the file, that before the default") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("dhrt.toml", "read_timeout = \"3s\"\n");
  struct Case {
    const char* why;
    std::vector<std::string> arguments;
    Variables variables;
    Duration read_timeout;
    const char* source;
  };
  const std::vector<Case> cases{
      {"nothing said", {}, {}, Duration(2000), "default"},
      {"the file alone", {"--config", file}, {}, Duration(3000), "file "},
      {"the file named by a variable", {}, {{"DHRT_CONFIG", file}}, Duration(3000), "file "},
      {"a variable over the file",
       {"--config", file},
       {{"DHRT_READ_TIMEOUT", "4s"}},
       Duration(4000),
       "environment DHRT_READ_TIMEOUT"},
      {"a flag over both",
       {"--config", file, "--read-timeout", "5s"},
       {{"DHRT_READ_TIMEOUT", "4s"}},
       Duration(5000),
       "flag"},
      {"the last of two flags",
       {"--read-timeout=1s", "--read-timeout=6s"},
       {},
       Duration(6000),
       "flag"},
      {"an empty variable is none", {}, {{"DHRT_READ_TIMEOUT", ""}}, Duration(2000), "default"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.why);
    const auto options = Reader{c.variables}.read(c.arguments);
    REQUIRE(options);
    CHECK(options->read_timeout == c.read_timeout);
    CHECK(contains(print_config(*options), "read_timeout = \"" +
                                               std::to_string(c.read_timeout.count() / 1000) +
                                               "s\"  # from " + c.source));
  }
}

TEST_CASE("options: three sets of timers, of which single ones can be told otherwise") {
  struct Case {
    const char* why;
    std::vector<std::string> flags;
    Duration probe_interval;
    std::uint64_t suspicion_multiplier;
  };
  for (const Case& c : {
           Case{"by default", {}, Duration(500), 4},
           Case{"which has a name", {"--lan"}, Duration(500), 4},
           Case{"short ones", {"--fast"}, Duration(250), 4},
           Case{"long ones", {"--wan"}, Duration(2000), 5},
           Case{"but this", {"--wan", "--probe-interval", "1s"}, Duration(1000), 5},
           Case{"but that", {"--suspicion-multiplier", "9", "--fast"}, Duration(250), 9},
       }) {
    CAPTURE(c.why);
    const auto options = Reader{}.read(c.flags);
    REQUIRE(options);
    CHECK(options->probe_interval == c.probe_interval);
    CHECK(options->suspicion_multiplier == c.suspicion_multiplier);
  }
  CHECK(Reader{{{"DHRT_WAN", "true"}}}.read({})->probe_interval == Duration(2000));
  CHECK(contains(Reader{}.error({"--fast", "--wan"}), "give one of them"));
  CHECK(contains(Reader{}.error({"--fast=maybe"}), "--fast is 'maybe'"));
}

TEST_CASE("options: the name is that of the machine unless somebody says otherwise") {
  CHECK(Reader{{{"HOSTNAME", "box"}}}.read({})->name == "box");
  CHECK(Reader{{{"HOSTNAME", "box"}, {"DHRT_NAME", "given"}}}.read({})->name == "given");
  CHECK(Reader{{{"HOSTNAME", "box"}}}.read({"--name", "typed"})->name == "typed");
}

TEST_CASE("options: addresses to join come as words, flags, variable or file") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("c.toml", "join = [\"a:1\", \"b\"]\n");
  const auto joined = [](const Result<NodeOptions>& options) {
    REQUIRE(options);
    std::string text;
    for (const auto& address : options->join)
      text += to_text(address) + " ";
    return text;
  };
  const Reader join{{}, true};
  CHECK(joined(join.read({"a:1", "[::1]:2"})) == "a:1 [::1]:2 ");
  CHECK(joined(join.read({"a:1", "--join", "b:2", "--memory"})) == "b:2 a:1 ");
  CHECK(joined(Reader{}.read({"--join", "a:1", "--join", "b:2"})) == "a:1 b:2 ");
  CHECK(joined(Reader{{{"DHRT_JOIN", "a:1,b:2"}}}.read({})) == "a:1 b:2 ");
  CHECK(joined(Reader{}.read({"--config", file})) == "a:1 b:7453 ");
  CHECK(contains(join.error({}), "join needs the address of a node"));
}

TEST_CASE("options: listeners come from a list and from a switch for each dialect") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("c.toml", "listen = [\"resp://a:1\", \"http://b\"]\n");
  const auto endpoints = [](const Result<NodeOptions>& options) {
    REQUIRE_MESSAGE(options, options.error().message);
    std::string text;
    for (const Endpoint& endpoint : endpoints_of(*options))
      text += to_text(endpoint) + "(" + endpoint.flag + ") ";
    return text;
  };
  const std::string own = "dhrt://h:1(--bind) ";
  const auto given = [&](std::vector<std::string> arguments, const Variables& variables = {}) {
    arguments.insert(arguments.end(), {"--bind", "h:1"});
    return endpoints(Reader{variables}.read(arguments));
  };
  CHECK(given({}) == own);
  CHECK(given({"--listen", "resp://a:1", "--listen=hati+unix:///x"}) ==
        own + "resp://a:1(--listen) hati+unix:///x(--listen) ");
  CHECK(given({"--config", file}) == own + "resp://a:1(--listen) http://b:8080(--listen) ");
  CHECK(given({}, {{"DHRT_LISTEN", "rpc://a,rpc://b"}}) ==
        own + "rpc://a:6767(--listen) rpc://b:6767(--listen) ");
  CHECK(given({"--tcp", "--rpc", "--hermod", "--resp", "--http"}) ==
        own +
            "hati://h:4242(--tcp-port) rpc://h:6767(--rpc-port) hermod://h:2088(--hermod-port) "
            "resp://h:6379(--resp-port) http://h:8080(--http-port) ");
  CHECK(given({"--tcp", "--tcp-host", "::1", "--tcp-port", "5", "--rpc", "--rpc-host", "[::2]"}) ==
        own + "hati://[::1]:5(--tcp-port) rpc://[::2]:6767(--rpc-port) ");
  // A port alone opens nothing, except where the surroundings of the process give one.
  CHECK(given({"--tcp-port", "5", "--http-port", "6"}) == own);
  CHECK(given({}, {{"PORT", "3000"}}) == own + "http://h:3000(--http-port) ");
  CHECK(given({"--http=false"}, {{"PORT", "3000"}}) == own);
  CHECK(given({"--http-port", "6"}, {{"PORT", "3000"}}) == own + "http://h:6(--http-port) ");
  CHECK(given({}, {{"PORT", ""}}) == own);
}

TEST_CASE("options: a bad value is told with its place and a right one") {
  struct Case {
    std::vector<std::string> arguments;
    const char* begins;
    const char* says;
  };
  const std::vector<Case> cases{
      {{"--bind", "nowhere:x"}, "--bind: 'nowhere:x'", "e.g. localhost:7453"},
      {{"--advertise", "host:0"}, "--advertise: 'host:0'", "port 0"},
      {{"--join", "a,:3"}, "--join: ':3'", "HOST:PORT"},
      {{"--listen", "resp://a,redis://b"}, "--listen: 'redis://b'", "hermod, resp or http"},
      {{"--tcp=2"}, "--tcp is '2'", "true or false"},
      {{"--tcp-host", "a:1"}, "--tcp-host: '[a:1]'", "IPv6"},
      {{"--tcp-port", "x"}, "--tcp-port is 'x'", "a port from 0"},
      {{"--rpc=2"}, "--rpc is '2'", "true or false"},
      {{"--rpc-host", "[::1]:1"}, "--rpc-host is '[::1]:1'", "without a port"},
      {{"--rpc-port", "65536"}, "--rpc-port is '65536'", "a port from 0"},
      {{"--hermod=2"}, "--hermod is '2'", "true or false"},
      {{"--hermod-port", "-1"}, "--hermod-port is '-1'", "a port from 0"},
      {{"--hermod-terminator", "5"}, "--hermod-terminator is '5'", "none, 4, 17 or 23 is wanted"},
      {{"--hermod-config", "a\tb"}, "--hermod-config is 'a\tb'", "control characters"},
      {{"--resp=2"}, "--resp is '2'", "true or false"},
      {{"--resp-port", ""}, "--resp-port is ''", "a port from 0"},
      {{"--http=2"}, "--http is '2'", "true or false"},
      {{"--http-port", "http"}, "--http-port is 'http'", "a port from 0"},
      {{"--cors-origin", "https://a,b.org"}, "--cors-origin: 'b.org'", "https://app.example.org"},
      {{"--cors-origin", "https://a/x"}, "--cors-origin: 'https://a/x'", "no origin"},
      {{"--cors-origin", "*"}, "--cors-origin: '*'", "no origin"},
      {{"--name", ""}, "--name is ''", "empty"},
      {{"--name", "a\nb"}, "--name is", "control characters"},
      {{"--data-dir="}, "--data-dir is ''", "empty"},
      {{"--backup-dir", "a\tb"}, "--backup-dir is 'a\tb'", "control characters"},
      {{"--memory=maybe"}, "--memory is 'maybe'", "true or false"},
      {{"--allow-public=2"}, "--allow-public is '2'", "true or false"},
      {{"--token-file", "a\tb"}, "--token-file is 'a\tb'", "control characters"},
      {{"--auth-file", "a\tb"}, "--auth-file is 'a\tb'", "control characters"},
      {{"--tls-cert", "a.pem"}, "--tls-cert", "--tls-key"},
      {{"--tls-key", "a.pem"}, "--tls-key", "--tls-cert"},
      {{"--tls-client-ca", "a.pem"}, "--tls-client-ca", "--tls-cert"},
      {{"--listen", "resp+tls://localhost"}, "resp+tls://localhost", "--tls-cert"},
      {{"--tcp-tls=2"}, "--tcp-tls is '2'", "true or false"},
      {{"--tcp", "--tcp-tls"}, "hati+tls://", "--tls-cert"},
      {{"--cluster-key-file", "a,b,c"}, "--cluster-key-file has 3 files", "at most 2"},
      {{"--cluster-key-file", "a,,b"}, "--cluster-key-file: a path is empty", "empty"},
      {{"--cluster-key-file", "a\tb"}, "--cluster-key-file: a path", "control characters"},
      {{"--peer-tls=2"}, "--peer-tls is '2'", "true or false"},
      {{"--peer-tls"}, "--peer-tls needs a certificate", "--peer-tls-cert"},
      {{"--peer-tls", "--peer-tls-cert", "a.pem"}, "--peer-tls-cert", "belong together"},
      {{"--peer-tls", "--peer-tls-key", "a.pem"},
       "--peer-tls-cert and --peer-tls-key",
       "belong together"},
      {{"--peer-tls", "--tls-cert", "a.pem", "--tls-key", "a.key"}, "--peer-tls", "--peer-tls-ca"},
      {{"--peer-tls-cert", "a.pem"}, "--peer-tls-cert", "are for --peer-tls"},
      {{"--peer-tls-key", "a.key"}, "--peer-tls-cert, --peer-tls-key", "are for --peer-tls"},
      {{"--peer-tls-ca", "a.pem"}, "--peer-tls-cert, --peer-tls-key", "are for --peer-tls"},
      {{"--hermod-anonymous=2"}, "--hermod-anonymous is '2'", "true or false"},
      {{"--print-config=x"}, "--print-config is 'x'", "true or false"},
      {{"--cpu-num", "0"}, "--cpu-num is '0'", "from 1 to 64, or auto"},
      {{"--cpu-num", "65"}, "--cpu-num is '65'", "from 1 to 64, or auto"},
      {{"--durability", "always"}, "--durability is 'always'", "sync, interval or none is wanted"},
      {{"--sync-interval", "0s"}, "--sync-interval is '0s'", "longer than 0"},
      {{"--cache-evict", "none"}, "--cache-evict is 'none'", "lru or s3fifo is wanted"},
      {{"--cache-bytes", "none"}, "--cache-bytes:", "is no size"},
      {{"--cache-bytes", "1kb"}, "--cache-bytes is '1kb'", "from 1mb to 1tb"},
      {{"--evict", "random"}, "--evict is 'random'", "none, lru or s3fifo is wanted"},
      {{"--memory-limit", "0"}, "--memory-limit is '0'", "needs a unit"},
      {{"--scrub-rate", "1kb"}, "--scrub-rate is '1kb'", "from 1mb to 1tb"},
      {{"--log-segment-bytes", "2gb"}, "--log-segment-bytes is '2gb'", "from 64kb to 1gb"},
      {{"--checkpoint-age", "10"}, "--checkpoint-age:", "no unit"},
      {{"--unflushed-max", "1mb"}, "--unflushed-max is '1mb'", "from 2mb"},
      {{"--checkpoint-bytes", "600mb"}, "--checkpoint-bytes is 600mb", "half of --unflushed-max"},
      {{"--cpu-num", "all"}, "--cpu-num is 'all'", "whole number or auto"},
      {{"--read-timeout", "5"}, "--read-timeout:", "no unit"},
      {{"--read-timeout", "5 s"}, "--read-timeout:", "unit"},
      {{"--write-timeout", "0"}, "--write-timeout is '0'", "longer than 0"},
      {{"--join-timeout", "soon"}, "--join-timeout:", "500ms"},
      {{"--handshake-timeout", "0"}, "--handshake-timeout is '0'", "longer than 0"},
      {{"--leave-timeout", "-1s"}, "--leave-timeout:", "duration"},
      {{"--timeout", "5"}, "--timeout:", "no unit"},
      {{"--probe-interval", "0s"}, "--probe-interval is '0s'", "longer than 0"},
      {{"--found-if-alone", "5"}, "--found-if-alone:", "no unit"},
      {{"--fast=2"}, "--fast is '2'", "true or false"},
      {{"--lan=2"}, "--lan is '2'", "true or false"},
      {{"--wan=2"}, "--wan is '2'", "true or false"},
      {{"--nkvd-mesh=2"}, "--nkvd-mesh is '2'", "true or false"},
      {{"--mesh-network-url", "http://"}, "--mesh-network-url:", "http://HOST:PORT"},
      {{"--tls-self-signed=2"}, "--tls-self-signed is '2'", "true or false"},
      {{"--tls-only=2"}, "--tls-only is '2'", "true or false"},
      {{"--tls-only"}, "dhrt+tls://0.0.0.0:7453 needs a certificate", "--tls-self-signed"},
      {{"--tls-only", "--tls-self-signed", "--join", "h"}, "--tls-only", "--peer-tls"},
      {{"--log-requests", "a\tb"}, "--log-requests", "control characters"},
      {{"--log-requests-format", "xml"}, "--log-requests-format is 'xml'", "text or json"},
      {{"--suspicion-multiplier", "0"}, "--suspicion-multiplier is '0'", "from 1 to 100"},
      {{"--max-clock-offset", "0"}, "--max-clock-offset is '0'", "longer than 0"},
      {{"--evict-after", "7"}, "--evict-after: duration '7' has no unit", "e.g. 7s"},
      {{"--remember-deletes", "7"}, "--remember-deletes: duration '7' has no unit", "e.g. 7s"},
      {{"--join-delay-max", "7"}, "--join-delay-max: duration '7' has no unit", "e.g. 7s"},
      {{"--replace", "a\tb"}, "--replace", "control characters"},
      {{"--max-value-bytes", "1000"}, "--max-value-bytes is '1000'", "needs a unit"},
      {{"--max-value-bytes", "1gb"}, "--max-value-bytes is '1gb'", "from 1b to 512mb"},
      {{"--max-clients", "many"}, "--max-clients is 'many'", "whole number"},
      {{"--max-clients", "0"}, "--max-clients is '0'", "from 1 to 1000000"},
      {{"--max-collections", "-3"}, "--max-collections is '-3'", "whole number"},
      {{"--notify-keyspace-events", "KEQ"}, "--notify-keyspace-events is 'KEQ'", "KEA"},
      {{"--output-buffer-max", "1kb"}, "--output-buffer-max is '1kb'", "from 1mb"},
      {{"--log-level", "loud"}, "--log-level is 'loud'", "trace, debug, info"},
      {{"--config", "/no/such/file"}, "configuration file /no/such/file:", "cannot be read"},
      {{"--config", "/"}, "configuration file /:", "cannot be read"},
      {{"--bind"}, "--bind needs a value", "--bind 127.0.0.1:7453"},
      {{"--name", "--memory"}, "--name needs a value", "berlin-1"},
      {{"--bidn", "x"}, "unknown flag --bidn", "did you mean --bind?"},
      {{"--xyzzy=3"}, "unknown flag --xyzzy", "dhrt start --help"},
      {{"-x"}, "unknown flag -x", "dhrt start --help"},
      {{"10.0.0.7"}, "start takes flags only", "dhrt join 10.0.0.7"},
  };
  std::set<std::string> covered;
  for (const auto& c : cases) {
    CAPTURE(c.arguments[0]);
    const std::string message = Reader{}.error(c.arguments);
    CAPTURE(message);
    CHECK(message.starts_with(c.begins));
    CHECK(contains(message, c.says));
    covered.insert(c.arguments[0].substr(0, c.arguments[0].find('=')));
  }
  for (const auto& option : option_table()) {
    CAPTURE(option.name);
    CHECK(covered.contains("--" + std::string(option.name)));
  }
}

TEST_CASE("options: a bad value in a variable or a file is told where it stands") {
  const test::TemporaryFolder folder;
  const auto file_error = [&](const std::string& text) {
    return Reader{}.error({"--config", folder.write("c.toml", text)});
  };
  CHECK(Reader{{{"DHRT_READ_TIMEOUT", "5"}}}.error({}).starts_with("DHRT_READ_TIMEOUT: "));
  CHECK(Reader{{{"HOSTNAME", "a\tb"}}}.error({}).starts_with("HOSTNAME is "));
  CHECK(contains(file_error("max_clients = 0"), "max_clients in " + folder.file("c.toml")));
  CHECK(contains(file_error("max_client = 5"), "did you mean max_clients?"));
  CHECK(contains(file_error("config = \"x\""), "there is no option 'config'"));
  CHECK(contains(file_error("[bind]\nx = 1"), "bind must be a string"));
  CHECK(contains(file_error("join = [1]"), "join must be"));
  CHECK(contains(file_error("bind = \"a\"\nbind = = 3"), "line 2"));
}

TEST_CASE("options: what --print-config prints is a file that gives the same options") {
  const test::TemporaryFolder folder;
  const std::vector<std::vector<std::string>> lines{
      {},
      {"--bind", "[::1]:0", "--advertise", "h:1", "--join", "a:1", "--join", "b:2"},
      {"--name", "quote\" and \\ and ü # x", "--data-dir", "/tmp/a b"},
      {"--memory", "--allow-public=yes", "--cpu-num", "auto", "--max-clients", "0012"},
      {"--timeout", "5m", "--max-value-bytes", "1kb", "--log-level", "trace", "--cpu-num", "007"},
      {"--durability", "interval", "--sync-interval", "1s", "--cache-bytes", "2gb"},
      {"--cache-evict", "lru", "--memory-limit", "1tb", "--evict", "s3fifo"},
      {"--memory-limit", "none", "--cache-bytes", "auto", "--checkpoint-age", "1m"},
      {"--scrub-rate", "off"},
      {"--listen", "resp://a:1", "--listen", "hati+unix:///x y", "--tcp", "--tcp-host", "::1"},
      {"--hermod-terminator", "17", "--hermod", "--hermod-port", "007", "--http-port", "0"},
  };
  for (const auto& line : lines) {
    const auto options = Reader{}.read(line);
    REQUIRE(options);
    const std::string file = folder.write("printed.toml", print_config(*options));
    const auto again = Reader{}.read({"--config", file});
    CAPTURE(print_config(*options));
    REQUIRE_MESSAGE(again, again.error().message);
    CHECK(again->bind == options->bind);
    CHECK(again->advertise == options->advertise);
    CHECK(again->join == options->join);
    CHECK(again->name == options->name);
    CHECK(again->data_dir == options->data_dir);
    CHECK(again->memory == options->memory);
    CHECK(again->allow_public == options->allow_public);
    CHECK(again->max_clients == options->max_clients);
    CHECK(again->timeout == options->timeout);
    CHECK(again->max_value_bytes == options->max_value_bytes);
    CHECK(again->log_level == options->log_level);
    CHECK(again->cpu_num == options->cpu_num);
    CHECK(again->durability == options->durability);
    CHECK(again->sync_interval == options->sync_interval);
    CHECK(again->cache_bytes == options->cache_bytes);
    CHECK(again->cache_evict == options->cache_evict);
    CHECK(again->memory_limit == options->memory_limit);
    CHECK(again->evict == options->evict);
    CHECK(again->scrub_rate == options->scrub_rate);
    CHECK(again->checkpoint_age == options->checkpoint_age);
    CHECK(again->hermod_terminator == options->hermod_terminator);
    CHECK(std::ranges::equal(
        endpoints_of(*again), endpoints_of(*options), {},
        [](const Endpoint& endpoint) { return to_text(endpoint); },
        [](const Endpoint& endpoint) { return to_text(endpoint); }));
    CHECK(contains(print_config(*again), "# from file " + file));
  }
}

TEST_CASE("options: one file with a cluster key, or two, by flags, a variable or a list") {
  using Paths = std::vector<std::string>;
  CHECK(Reader{}.read({})->cluster_key_files.empty());
  CHECK(Reader{}.read({"--cluster-key-file", "b", "--cluster-key-file=a"})->cluster_key_files ==
        Paths{"b", "a"});
  CHECK(Reader{{{"DHRT_CLUSTER_KEY_FILE", "/k"}}}.read({})->cluster_key_files == Paths{"/k"});
  const test::TemporaryFolder folder;
  const std::string file = folder.write("list.toml", "cluster_key_file = [\"b\", \"a\"]\n");
  CHECK(Reader{}.read({"--config", file})->cluster_key_files == Paths{"b", "a"});
  CHECK(contains(print_config(*Reader{}.read({"--config", file})),
                 "cluster_key_file = [\"b\", \"a\"]"));
}

TEST_CASE("options: nodes have certificates of their own, or those for clients") {
  const auto own =
      Reader{}.read({"--peer-tls", "--peer-tls-cert", "n.pem", "--peer-tls-key", "n.key",
                     "--peer-tls-ca", "ca.pem", "--tls-cert", "c.pem", "--tls-key", "c.key"});
  REQUIRE(own);
  CHECK(own->peer_tls_cert == "n.pem");
  CHECK(own->peer_tls_key == "n.key");
  CHECK(own->peer_tls_ca == "ca.pem");
  const auto shared = Reader{}.read(
      {"--peer-tls", "--peer-tls-ca", "ca.pem", "--tls-cert", "c.pem", "--tls-key", "c.key"});
  REQUIRE(shared);
  CHECK(shared->peer_tls_cert == "c.pem");
  CHECK(shared->peer_tls_key == "c.key");
}

TEST_CASE("options: the help names every flag with example and variable, within 100 columns") {
  const std::string help = options_help();
  for (const auto& option : option_table()) {
    CAPTURE(option.name);
    const std::string flag = "--" + std::string(option.name);
    CHECK(contains(help, "\n  " + flag));
    CHECK(contains(help, "example: " + flag));
    CHECK(contains(help, "environment: " + variable_name(option)));
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);)
    CHECK_MESSAGE(line.size() <= 100, line);
}

TEST_CASE("options: every default and every example is a value that is accepted") {
  for (const auto& option : option_table()) {
    CAPTURE(option.name);
    NodeOptions options;
    CHECK(apply_option(option, std::string(option.example), "", options));
    if (!option.default_text.empty())
      CHECK(apply_option(option, std::string(option.default_text), "", options));
  }
}

}  // namespace dhrt
