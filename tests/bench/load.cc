// dhrt-load: sends one kind of load to dhrt, Redis, memcached or an HTTP server, and measures it.
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/bench/client.h"
#include "tests/bench/workload.h"

namespace {

using dhrt::ErrorCode;
using dhrt::fail;
using dhrt::Result;
using dhrt::Status;
using dhrt::bench::ClientOptions;
using dhrt::bench::Command;
using dhrt::bench::Dialect;
using dhrt::bench::KeyOrder;
using dhrt::bench::Measurement;
using dhrt::bench::Values;
using dhrt::bench::Workload;
using dhrt::bench::WorkloadOptions;

constexpr const char* usage =
    "usage: dhrt-load [--host H] [--port N] (--operations N | --duration TIME) [flags]\n"
    "\n"
    "Sends SETs and GETs to a server, checks every reply, and prints kops/s, latency and errors.\n"
    "One thread; each connection waits for its batch before it sends the next, unless --rate.\n"
    "\n"
    "  --host H           default 127.0.0.1\n"
    "  --port N           default 7453\n"
    "  --connections N    default 50\n"
    "  --pipeline N       requests per batch, default 1\n"
    "  --operations N     end after so many requests\n"
    "  --duration TIME    end after this long: 500ms, 10s, 2m\n"
    "  --rate N           open loop: so many requests a second whatever the server does, and\n"
    "                     latency counted from the moment when each should have been sent\n"
    "  --dialect NAME     text (default: dhrt, and Redis's inline commands), resp (dhrt, Redis),\n"
    "                     memcached, http (dhrt)\n"
    "  --command NAME     set (default), get, or mixed: each half of the requests\n"
    "  --ack LEVEL        of a SET of dhrt: one, quorum, all, linear; text only (default: none)\n"
    "  --order NAME       of the keys: random (default) or sequential, from 0 up\n"
    "  --keyspace N       how many different keys, default 100000\n"
    "  --key-bytes N      default 16\n"
    "  --value-bytes N    default 100; Redis takes lines up to 64 KiB\n"
    "  --seed N           of the random keys, default 1\n"
    "  --stamp N          is written into values; a GET takes only values with this stamp\n"
    "                     (default 0: of any)\n"
    "  --values NAME      own (default): a value must begin with its key; any: only its size\n"
    "                     counts, for servers with a constant reply\n"
    "  --pin CORE         run on this core only\n"
    "  --timeout TIME     give up when no reply came for so long, default 30s\n"
    "  --json             one line of JSON instead of text\n"
    "  -h, --help         this text\n"
    "\n"
    "exit codes: 0 every reply was as it should be (a miss is), 1 not so, 2 usage\n";

struct Settings {
  ClientOptions client;
  WorkloadOptions workload;
  bool json = false;
};

template <typename Number>
Status read_number(std::string_view flag, std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(flag) + " is '" + std::string(text) + "'; give a number");
}

Status read_time(std::string_view flag, std::string_view text, std::chrono::nanoseconds& time) {
  struct Unit {
    std::string_view name;
    std::chrono::milliseconds length;
  };
  constexpr std::array units{Unit{"ms", std::chrono::milliseconds(1)},
                             Unit{"s", std::chrono::seconds(1)},
                             Unit{"m", std::chrono::minutes(1)}};
  constexpr std::uint32_t count_max = 100000;
  for (const Unit& unit : units) {
    std::uint32_t count = 0;
    if (!text.ends_with(unit.name)) continue;
    if (!read_number(flag, text.substr(0, text.size() - unit.name.size()), count)) break;
    if (count == 0 || count > count_max) break;
    time = count * unit.length;
    return {};
  }
  return fail(ErrorCode::invalid_argument, std::string(flag) + " is '" + std::string(text) +
                                               "'; give a time with its unit: 500ms, 10s, 2m");
}

template <typename Choice>
struct Named {
  std::string_view name;
  Choice choice;
};

template <typename Choice, std::size_t count>
Status read_choice(std::string_view flag, std::string_view text,
                   const std::array<Named<Choice>, count>& choices, Choice& choice) {
  std::string names;
  for (const auto& named : choices) {
    if (text == named.name) {
      choice = named.choice;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(named.name);
  }
  return fail(ErrorCode::invalid_argument,
              std::string(flag) + " is '" + std::string(text) + "'; give one of " + names);
}

constexpr auto commands = std::to_array<Named<Command>>(
    {{"set", Command::set}, {"get", Command::get}, {"mixed", Command::mixed}});
constexpr auto orders = std::to_array<Named<KeyOrder>>(
    {{"random", KeyOrder::random}, {"sequential", KeyOrder::sequential}});
constexpr auto dialects = std::to_array<Named<Dialect>>({{"text", Dialect::text},
                                                         {"resp", Dialect::resp},
                                                         {"memcached", Dialect::memcached},
                                                         {"http", Dialect::http}});
constexpr auto values = std::to_array<Named<Values>>({{"own", Values::own}, {"any", Values::any}});

Status read_flag(std::string_view flag, std::string_view text, Settings& settings) {
  ClientOptions& client = settings.client;
  WorkloadOptions& workload = settings.workload;
  if (flag == "--host") {
    client.host = text;
    return {};
  }
  if (flag == "--ack") {
    workload.ack = text;
    return {};
  }
  if (flag == "--port") return read_number(flag, text, client.port);
  if (flag == "--connections") return read_number(flag, text, client.connections);
  if (flag == "--pipeline") return read_number(flag, text, client.pipeline);
  if (flag == "--operations") return read_number(flag, text, client.operations);
  if (flag == "--duration") return read_time(flag, text, client.duration);
  if (flag == "--timeout") return read_time(flag, text, client.timeout);
  if (flag == "--command") return read_choice(flag, text, commands, workload.command);
  if (flag == "--order") return read_choice(flag, text, orders, workload.order);
  if (flag == "--dialect") return read_choice(flag, text, dialects, workload.dialect);
  if (flag == "--values") return read_choice(flag, text, values, workload.values);
  if (flag == "--rate") return read_number(flag, text, client.rate);
  if (flag == "--pin") return read_number(flag, text, client.pin);
  if (flag == "--keyspace") return read_number(flag, text, workload.keyspace);
  if (flag == "--key-bytes") return read_number(flag, text, workload.key_bytes);
  if (flag == "--value-bytes") return read_number(flag, text, workload.value_bytes);
  if (flag == "--seed") return read_number(flag, text, workload.seed);
  if (flag == "--stamp") return read_number(flag, text, workload.stamp);
  return fail(ErrorCode::invalid_argument, "unknown flag '" + std::string(flag) + "'");
}

Status validate(const Settings& settings) {
  const ClientOptions& client = settings.client;
  if ((client.operations == 0) == (client.duration.count() == 0))
    return fail(ErrorCode::invalid_argument, "give either --operations or --duration");
  if (client.connections == 0 || client.connections > 10000)
    return fail(ErrorCode::invalid_argument, "--connections is a number from 1 to 10000");
  if (client.pipeline == 0 || client.pipeline > 10000)
    return fail(ErrorCode::invalid_argument, "--pipeline is a number from 1 to 10000");
  if (!(client.rate >= 0 && client.rate <= 1e8))
    return fail(ErrorCode::invalid_argument, "--rate is a number from 1 to 100000000");
  return validate(settings.workload);
}

Result<Settings> read_arguments(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json") {
      settings.json = true;
      continue;
    }
    if (i + 1 == argc)
      return fail(ErrorCode::invalid_argument, "nothing follows '" + std::string(flag) + "'");
    if (auto read = read_flag(flag, argv[++i], settings); !read)
      return tl::unexpected(read.error());
  }
  if (auto valid = validate(settings); !valid) return tl::unexpected(valid.error());
  return settings;
}

// Replies are shown as they came, and they may be anything.
std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(byte));
      out += escape.data();
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

void print(const Measurement& measured, bool json) {
  const auto milliseconds = [&](double share) {
    return static_cast<double>(measured.latencies.quantile(share)) / 1e6;
  };
  const double seconds = std::chrono::duration<double>(measured.elapsed).count();
  const double operations = static_cast<double>(measured.operations);
  const double rate = seconds > 0 ? operations / seconds / 1000 : 0;
  const double client_cpu = std::chrono::duration<double, std::micro>(measured.client_cpu).count() /
                            (measured.operations > 0 ? operations : 1);
  const char* format =
      json ? "{\"operations\":%llu,\"seconds\":%.6f,\"kops\":%.3f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,"
             "\"p999_ms\":%.4f,\"max_ms\":%.4f,\"lag_p999_ms\":%.4f,\"errors\":%llu,\"wrong\":%llu,"
             "\"misses\":%llu,"
             "\"client_cpu_us\":%.4f,\"first_error\":%s}\n"
           : "%llu operations in %.3f s: %.1f kops/s\n"
             "latency ms: p50 %.3f, p99 %.3f, p99.9 %.3f, max %.3f; sent late p99.9 %.3f\n"
             "errors %llu, wrong replies %llu, misses %llu; client CPU %.3f us/op\n%s";
  const std::string detail = json ? json_quoted(measured.first_error)
                             : measured.first_error.empty()
                                 ? ""
                                 : "first: " + measured.first_error + "\n";
  std::printf(format, static_cast<unsigned long long>(measured.operations), seconds, rate,
              milliseconds(0.5), milliseconds(0.99), milliseconds(0.999), milliseconds(1),
              static_cast<double>(measured.lags.quantile(0.999)) / 1e6,
              static_cast<unsigned long long>(measured.errors),
              static_cast<unsigned long long>(measured.wrong),
              static_cast<unsigned long long>(measured.misses), client_cpu, detail.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "-h" && std::string_view(argv[i]) != "--help") continue;
    std::fputs(usage, stdout);
    return 0;
  }
  const auto settings = read_arguments(argc, argv);
  if (!settings) {
    std::fprintf(stderr, "dhrt-load: %s; see dhrt-load --help\n", settings.error().message.c_str());
    return 2;
  }
  Workload workload(settings->workload);
  const auto measured = std::make_unique<Measurement>();
  const Status status = run_client(settings->client, workload, *measured);
  if (!status) {
    std::fprintf(stderr, "dhrt-load: %s\n", status.error().message.c_str());
    return 1;
  }
  print(*measured, settings->json);
  return measured->errors + measured->wrong == 0 ? 0 : 1;
}
