// The log of requests: its lines, and its bounds.
#include "node/request_log.h"

#include <algorithm>
#include <functional>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "protocol/json.h"
#include "tests/node/temporary_folder.h"

namespace dhrt {

using test::TemporaryFolder;

namespace {

constexpr WallMilliseconds noon{1'764'244'800'007};  // 2025-11-27T12:00:00.007Z

TracedRequest request(const std::string& name) {
  return {.dialect = ClientDialect::http,
          .name = name,
          .client = "127.0.0.1:5040",
          .outcome = TracedRequest::Outcome::error,
          .error = "404",
          .started = std::chrono::microseconds(1000),
          .completed = std::chrono::microseconds(1031),
          .ended = std::chrono::microseconds(1085)};
}

std::string json_name(const std::string& line) {
  const auto document = json::Document::parse(line);
  REQUIRE(document);
  return document->root().member("request")->string().value();
}

std::unique_ptr<RequestLog> open(const std::string& path, RequestLog::Limits limits = {}) {
  auto log = RequestLog::open({.path = path, .limits = limits});
  REQUIRE_MESSAGE(log, (log ? "" : log.error().message));
  return *std::move(log);
}

std::ptrdiff_t lines_in(const std::string& text) {
  return std::ranges::count(text, '\n');
}

}  // namespace

TEST_CASE("request log: a line has everything about a request") {
  CHECK(request_line(request("GET /colour"), RequestLogFormat::text, noon) ==
        "2025-11-27T12:00:00.007Z dialect=http client=127.0.0.1:5040 request=\"GET /colour\" "
        "outcome=error error=404 complete_us=31 end_us=85\n");
  CHECK(request_line(request("GET /colour"), RequestLogFormat::json, noon) ==
        R"({"time":"2025-11-27T12:00:00.007Z","dialect":"http","client":"127.0.0.1:5040",)"
        R"("request":"GET /colour","outcome":"error","error":"404","complete_us":31,"end_us":85})"
        "\n");
}

TEST_CASE("request log: no client writes lines or fields of its own") {
  for (const std::string name :
       {"GET /a\n2026-11-27T12:00:00.000Z dialect=resp", "GET /\r\n", "a\" outcome=ok", "a=b",
        "\x1b[2J", "back\\ \"", "\"}\n{\"time\":\"", ""}) {
    CAPTURE(name);
    const std::string text = request_line(request(name), RequestLogFormat::text, noon);
    CHECK(lines_in(text) == 1);
    CHECK(text.ends_with("\" outcome=error error=404 complete_us=31 end_us=85\n"));
    CHECK(text.find('\x1b') == std::string::npos);
    const std::string json = request_line(request(name), RequestLogFormat::json, noon);
    CHECK(lines_in(json) == 1);
    CHECK(json_name(json) == name);
  }
  // What is no UTF-8 is none of JSON.
  const std::string json = request_line(request("GET /\xff\xc3"), RequestLogFormat::json, noon);
  CHECK(json_name(json) == "GET /??");
  CHECK(json_name(request_line(request("GET /ü"), RequestLogFormat::json, noon)) == "GET /ü");
}

TEST_CASE("request log: everything is in the file when it is closed, behind what was there") {
  const TemporaryFolder folder;
  const std::string path = folder.write("log", "before\n");
  for (int i = 0; i < 2; ++i) {
    const auto log = open(path);
    for (int line = 0; line < 100; ++line)
      log->add(request("GET /" + std::to_string(line)));
    CHECK(log->dropped() == 0);
  }
  const std::string text = folder.read("log");
  CHECK(lines_in(text) == 201);
  CHECK(text.starts_with("before\n"));
}

TEST_CASE("request log: what is too much is left out, and counted") {
  const TemporaryFolder folder;
  RequestLog::Limits limits;
  SUBCASE("in a second") {
    limits.lines_per_second = 3;
  }
  SUBCASE("that waits") {
    limits.pending_bytes = 1;
  }
  constexpr std::uint64_t count = 100'000;
  std::uint64_t dropped = 0;
  {
    const auto log = open(folder.file("log"), limits);
    for (std::uint64_t i = 0; i < count; ++i)
      log->add(request("GET /"));
    dropped = log->dropped();
  }
  CHECK(dropped > 0);
  const std::string text = folder.read("log");
  std::uint64_t told = 0;
  std::uint64_t requests = 0;
  constexpr std::string_view word = " dropped=";
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    const std::size_t found = line.find(word);
    if (found == std::string::npos)
      ++requests;
    else
      told += std::stoull(line.substr(found + word.size()));
  }
  CHECK(told == dropped);
  CHECK(requests + dropped == count);
}

TEST_CASE("request log: a file that is full is set aside, and no third one is kept") {
  const TemporaryFolder folder;
  const std::string path = folder.file("log");
  constexpr RequestLog::Limits limits{.file_bytes = 1000};
  const std::size_t line = request_line(request("n 0"), RequestLogFormat::text, noon).size();
  const std::size_t fit = limits.file_bytes / line;
  for (std::size_t i = 0; i < 3 * fit; ++i)
    open(path, limits)->add(request("n " + std::to_string(i % 10)));
  CHECK(lines_in(folder.read("log")) == static_cast<std::ptrdiff_t>(fit));
  CHECK(lines_in(folder.read("log.1")) == static_cast<std::ptrdiff_t>(fit));
  CHECK_FALSE(std::filesystem::exists(path + ".2"));
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777U) == 0600);
}

TEST_CASE("request log: a full file that cannot be set aside takes no more, until it can") {
  const TemporaryFolder folder;
  const std::string path = folder.file("log");
  constexpr RequestLog::Limits limits{
      .lines_per_second = 1'000'000'000, .pending_bytes = 400, .file_bytes = 2000};
  const auto log = open(path, limits);
  // Only in an empty folder's place a file can be put.
  std::filesystem::create_directories(path + ".1/in the way");
  const auto add_until = [&](const std::function<bool()>& done) {
    for (int i = 0; i < 1000000 && !done(); ++i)
      log->add(request("n"));
    CHECK(done());
  };
  const auto size = [&] { return std::filesystem::file_size(path); };
  add_until([&] { return size() + limits.pending_bytes > limits.file_bytes; });
  const std::uint64_t dropped = log->dropped();
  add_until([&] { return log->dropped() > dropped + 1000; });
  CHECK(size() <= limits.file_bytes);
  std::filesystem::remove_all(path + ".1");
  add_until([&] { return std::filesystem::exists(path + ".1"); });
}

TEST_CASE("request log: what is no file is refused, and does not make a start wait") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  for (const std::string& path :
       {folder.file("none/log"), folder.file(""), folder.file("pipe"), std::string("/dev/null")}) {
    const auto log = RequestLog::open({.path = path});
    REQUIRE_FALSE(log);
    CHECK(log.error().message.find("--log-requests " + path) != std::string::npos);
  }
}

}  // namespace dhrt
