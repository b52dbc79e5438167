// dhrt-bench-parse: what it costs to find requests in bytes, without sockets and without running
// them. Beside each parser: copying the bytes, and looking for line ends, which is the least that
// any parser of lines has to do. Rounds of all of them take turns.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/fast_http.h"
#include "protocol/fast_resp.h"
#include "protocol/fast_text.h"
#include "protocol/http.h"
#include "protocol/resp_command.h"
#include "protocol/text.h"

namespace {

using namespace dhrt;

constexpr const char* usage =
    "usage: dhrt-bench-parse [--quick] [--json]\n"
    "\n"
    "Parses pipelined requests that are in memory, 64 KiB at a time as a node reads them, and\n"
    "prints medians: MB/s, ns of CPU time a request, and the time as a multiple of that of a copy\n"
    "and of a search for line ends.\n"
    "\n"
    "  --quick   short rounds; the figures mean little\n"
    "  --json    one JSON object instead of the table\n"
    "\n"
    "exit codes: 0 measured, 1 a parser did not find all requests, 2 usage\n";

// As much as a node reads at once; requests are whole in it.
constexpr std::size_t input_bytes_max = std::size_t{64} << 10;
constexpr std::size_t value_bytes = 100;
constexpr std::size_t writes_every = 5;  // One request in so many is a write.

struct Input {
  std::string bytes;
  std::size_t requests = 0;
};

std::string key_of(std::size_t number) {
  std::array<char, 24> text{};
  const int length = std::snprintf(text.data(), text.size(), "key-%012zu", number * 7919 % 1000000);
  return {text.data(), static_cast<std::size_t>(length)};
}

Input fill(const std::function<std::string(std::size_t number, bool writes)>& request) {
  Input input;
  for (;;) {
    const bool writes = input.requests % writes_every == 0;
    const std::string next = request(input.requests, writes);
    if (input.bytes.size() + next.size() > input_bytes_max) return input;
    input.bytes += next;
    ++input.requests;
  }
}

std::string bulk(const std::string& word) {
  return "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
}

const std::string value(value_bytes, 'v');

std::string resp_request(std::size_t number, bool writes) {
  const std::string key = bulk(key_of(number));
  return writes ? "*3\r\n$3\r\nSET\r\n" + key + bulk(value) : "*2\r\n$3\r\nGET\r\n" + key;
}

std::string text_request(std::size_t number, bool writes) {
  return (writes ? "set " + key_of(number) + " " + value : "get " + key_of(number)) + "\n";
}

// What curl sends, and what a client of a program does.
std::string http_request(std::size_t number, bool writes) {
  const std::string head = " /users/" + key_of(number) + " HTTP/1.1\r\nHost: 10.0.0.7:7453\r\n";
  return writes ? "PUT" + head + "User-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: " +
                      std::to_string(value.size()) + "\r\n\r\n" + value
                : "GET" + head + "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
}

std::string browser_request(std::size_t number, bool) {
  return "GET /users/" + key_of(number) +
         " HTTP/1.1\r\nHost: 10.0.0.7:7453\r\nConnection: keep-alive\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
         "Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\n"
         "Accept-Encoding: gzip, deflate, br\r\nReferer: http://10.0.0.7:7453/app/index.html\r\n"
         "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
         "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\r\n";
}

// --- Each finds all requests of an input, and tells how many there were.

const ProtocolLimits limits{};

std::size_t copy(const Input& input) {
  static std::array<char, input_bytes_max> to;
  std::memcpy(to.data(), input.bytes.data(), input.bytes.size());
  // The compiler may not know that nobody reads it.
  asm volatile("" : : "r"(to.data()) : "memory");
  return input.requests;
}

std::size_t find_lines(const Input& input) {
  std::size_t lines = 0;
  const char* const end = input.bytes.data() + input.bytes.size();
  for (const char* at = input.bytes.data(); at < end; ++lines) {
    const void* const found = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
    if (found == nullptr) break;
    at = static_cast<const char*>(found) + 1;
  }
  asm volatile("" : : "r"(lines) : "memory");
  return input.requests;
}

std::size_t read_resp(const Input& input) {
  static resp::CommandReader reader;
  std::size_t count = 0;
  for (Bytes rest = input.bytes; !rest.empty(); ++count) {
    const auto read = reader.read(rest, limits);
    if (read.outcome != resp::CommandReader::Read::Outcome::command) return count;
    rest.remove_prefix(read.consumed);
  }
  return count;
}

std::size_t read_text(const Input& input) {
  std::size_t count = 0;
  std::size_t searched = 0;
  for (Bytes rest = input.bytes; !rest.empty(); ++count) {
    const auto line = text::parse_line(rest, limits, searched);
    if (!line || line->error) return count;
    rest.remove_prefix(line->consumed);
  }
  return count;
}

std::size_t read_http(const Input& input) {
  static http::Parser parser(limits);
  std::size_t count = 0;
  for (Bytes rest = input.bytes; !rest.empty();) {
    const http::Fed fed = parser.feed(rest);
    if (fed.error || fed.consumed == 0) return count;
    count += fed.request ? 1 : 0;
    rest.remove_prefix(fed.consumed);
  }
  return count;
}

// `recognise` puts what it finds into a batch.
template <typename Recognise>
std::size_t recognise_batches(const Input& input, Recognise recognise) {
  static FastBatch batch;
  std::size_t count = 0;
  for (Bytes rest = input.bytes; !rest.empty();) {
    batch.clear();
    recognise(rest, batch);
    if (batch.empty()) return count;
    count += batch.size();
    rest.remove_prefix(batch[batch.size() - 1].end);
  }
  return count;
}

std::size_t recognise_resp(const Input& input) {
  return recognise_batches(
      input, [](Bytes rest, FastBatch& batch) { resp::recognise(rest, {}, limits, batch); });
}

std::size_t recognise_text(const Input& input) {
  return recognise_batches(
      input, [](Bytes rest, FastBatch& batch) { text::recognise(rest, limits, batch); });
}

std::size_t recognise_http(const Input& input) {
  std::size_t count = 0;
  for (Bytes rest = input.bytes; !rest.empty(); ++count) {
    const auto request = http::recognise(rest, limits);
    if (!request) return count;
    rest.remove_prefix(request->end);
  }
  return count;
}

// --- Measuring ------------------------------------------------------------------------------

struct Way {
  const char* name;
  std::size_t (*run)(const Input& input);
  std::vector<double> seconds{};  // Of one pass over the input, by round.
};

struct Mix {
  const char* name;
  Input input;
  std::vector<Way> ways;  // The first two are what the others are compared with.
};

std::vector<Mix> mixes() {
  const Way copies{"copy", copy};
  const Way finds{"find line ends", find_lines};
  std::vector<Mix> all;
  all.push_back({"RESP, 4 GET : 1 SET",
                 fill(resp_request),
                 {copies, finds, {"recognise", recognise_resp}, {"read any command", read_resp}}});
  all.push_back({"lines, 4 get : 1 set",
                 fill(text_request),
                 {copies, finds, {"recognise", recognise_text}, {"read any line", read_text}}});
  all.push_back({"HTTP of curl, 4 GET : 1 PUT",
                 fill(http_request),
                 {copies, finds, {"recognise", recognise_http}, {"read any request", read_http}}});
  // With cookies and the like, which only the parser of all requests reads.
  all.push_back({"HTTP of a browser, GET",
                 fill(browser_request),
                 {copies, finds, {"read any request", read_http}}});
  return all;
}

// Of this thread's CPU time, so that others who run meanwhile count as little as can be.
double seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// False: not all requests were found.
bool run_round(const Input& input, Way& way, double seconds) {
  std::size_t passes = 0;
  const double begin = seconds_now();
  double now = begin;
  do {
    if (way.run(input) != input.requests) return false;
    ++passes;
    now = seconds_now();
  } while (now - begin < seconds);
  way.seconds.push_back((now - begin) / static_cast<double>(passes));
  return true;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// The median of the ratios of the rounds, which took turns.
double times(const Way& way, const Way& other) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < way.seconds.size(); ++i)
    ratios.push_back(way.seconds[i] / other.seconds[i]);
  return median(std::move(ratios));
}

void print(const Mix& mix, const Way& way, bool json, bool first) {
  const double seconds = median(way.seconds);
  const double megabytes = static_cast<double>(mix.input.bytes.size()) / seconds / 1e6;
  const double nanoseconds = seconds * 1e9 / static_cast<double>(mix.input.requests);
  const double of_copy = times(way, mix.ways[0]);
  const double of_lines = times(way, mix.ways[1]);
  if (json)
    std::printf(
        "%s\n    {\"input\": \"%s\", \"way\": \"%s\", \"mb_per_second\": %.0f, \"ns\": %.1f, "
        "\"times_copy\": %.2f, \"times_line_ends\": %.2f}",
        first ? "" : ",", mix.name, way.name, megabytes, nanoseconds, of_copy, of_lines);
  else
    std::printf("%-28s %-17s %8.0f MB/s %8.1f ns %7.1f x copy %6.2f x line ends\n", mix.name,
                way.name, megabytes, nanoseconds, of_copy, of_lines);
}

int measure(bool quick, bool json) {
  const int rounds = quick ? 1 : 5;
  const double seconds = quick ? 0.001 : 0.2;
  std::vector<Mix> all = mixes();
  if (json) std::printf("{\"rows\": [");
  for (Mix& mix : all) {
    for (int round = 0; round < rounds; ++round) {
      for (Way& way : mix.ways) {
        if (run_round(mix.input, way, seconds)) continue;
        std::fprintf(stderr, "FAIL %s, %s: not all of %zu requests were found\n", mix.name,
                     way.name, mix.input.requests);
        return 1;
      }
    }
    for (const Way& way : mix.ways)
      print(mix, way, json, &mix == &all.front() && &way == &mix.ways.front());
  }
  if (json) std::printf("\n]}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--quick") {
      quick = true;
    } else if (flag == "--json") {
      json = true;
    } else {
      const bool asks = flag == "--help" || flag == "-h";
      std::fputs(usage, asks ? stdout : stderr);
      return asks ? 0 : 2;
    }
  }
  return measure(quick, json);
}
