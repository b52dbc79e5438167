#include "node/request_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "node/log.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration second{1000};
constexpr int look_again_milliseconds = 100;  // If the owner wants to stop, while nobody reads.
// What a pipe that has room takes without waiting (POSIX: PIPE_BUF).
constexpr std::size_t piece_bytes_max = 4096;
constexpr unsigned owner_only = 0600;

std::string timestamp(WallMilliseconds now) {
  const auto seconds = static_cast<std::time_t>(now / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string milliseconds = std::to_string(now % 1000);
  return std::string(text.data(), length) + "." + std::string(3 - milliseconds.size(), '0') +
         milliseconds + "Z";
}

std::string utf8_of(std::string text) {
  if (!json::is_utf8(text))
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return text;
}

std::uint64_t microseconds_between(std::chrono::microseconds begin, std::chrono::microseconds end) {
  return static_cast<std::uint64_t>(std::max(end - begin, std::chrono::microseconds(0)).count());
}

std::string dropped_line(std::uint64_t count, RequestLogFormat format, WallMilliseconds now) {
  const std::string when = timestamp(now);
  const std::string number = std::to_string(count);
  return format == RequestLogFormat::json
             ? "{\"time\":\"" + when + "\",\"dropped\":" + number + "}\n"
             : when + " dropped=" + number + "\n";
}

}  // namespace

std::string request_line(const TracedRequest& request, RequestLogFormat format,
                         WallMilliseconds now) {
  const std::uint64_t complete = microseconds_between(request.started, request.completed);
  const std::uint64_t end = microseconds_between(request.started, request.ended);
  if (format == RequestLogFormat::json) {
    json::Writer writer;
    writer.begin_object();
    writer.key("time").string(timestamp(now));
    writer.key("dialect").string(to_text(request.dialect));
    writer.key("client").string(utf8_of(request.client));
    writer.key("request").string(utf8_of(request.name));
    writer.key("outcome").string(to_text(request.outcome));
    writer.key("error").string(utf8_of(request.error));
    writer.key("complete_us").number(complete);
    writer.key("end_us").number(end);
    writer.end_object();
    return writer.take() + "\n";
  }
  std::string line = timestamp(now);
  append_log_field(line, {"dialect", std::string(to_text(request.dialect))});
  append_log_field(line, {"client", request.client});
  append_log_field(line, {"request", utf8_of(request.name)});
  append_log_field(line, {"outcome", std::string(to_text(request.outcome))});
  append_log_field(line, {"error", request.error.empty() ? "-" : request.error});
  append_log_field(line, {"complete_us", std::to_string(complete)});
  append_log_field(line, {"end_us", std::to_string(end)});
  return line + "\n";
}

// --- Opening --------------------------------------------------------------------------------

namespace {

FileDescriptor open_file(const std::string& path) {
  // A pipe without a reader would make the start wait.
  return FileDescriptor(::open(path.c_str(),
                               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                               mode_t{owner_only}));
}

}  // namespace

Result<std::unique_ptr<RequestLog>> RequestLog::open(Options options) {
  FileDescriptor file;
  std::uint64_t bytes = 0;
  if (options.path != "-") {
    const auto refuse = [&](const std::string& why) {
      return fail(ErrorCode::invalid_argument, "--log-requests " + options.path + ": " + why +
                                                   "; name a file that can be written, or -");
    };
    file = open_file(options.path);
    struct stat found {};
    if (!file || ::fstat(file.get(), &found) != 0) return refuse(std::strerror(errno));
    if (!S_ISREG(found.st_mode)) return refuse("it is no regular file");
    bytes = static_cast<std::uint64_t>(found.st_size);
  }
  return std::unique_ptr<RequestLog>(new RequestLog(std::move(options), std::move(file), bytes));
}

RequestLog::RequestLog(Options options, FileDescriptor file, std::uint64_t file_bytes)
    : options_(std::move(options)), file_(std::move(file)), file_bytes_(file_bytes) {
  thread_ = std::thread([this] { run(); });
}

RequestLog::~RequestLog() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wakes_.notify_one();
  thread_.join();
}

// --- By the loops ---------------------------------------------------------------------------

bool RequestLog::admits() {
  const Time now = monotonic_now();
  const std::lock_guard lock(mutex_);
  if (now - second_ >= second) {
    second_ = now;
    lines_ = 0;
  }
  if (pending_.size() >= options_.limits.pending_bytes) return false;
  return ++lines_ <= options_.limits.lines_per_second;
}

void RequestLog::add(const TracedRequest& request) {
  if (!admits()) {
    ++dropped_;
    return;
  }
  const std::string line = request_line(request, options_.format, wall_now());
  {
    const std::lock_guard lock(mutex_);
    pending_ += line;
  }
  wakes_.notify_one();
}

// --- By the writer --------------------------------------------------------------------------

int RequestLog::target() const {
  return file_ ? file_.get() : STDERR_FILENO;
}

void RequestLog::run() {
  std::uint64_t told = 0;
  std::string lines;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      // What was left out is told within a second, also when nothing else is.
      wakes_.wait_for(lock, second, [&] { return stops_ || !pending_.empty(); });
      if (stops_ && pending_.empty() && dropped_ == told) return;
      lines.clear();
      lines.swap(pending_);
    }
    const std::uint64_t dropped = dropped_;
    if (dropped > told) lines += dropped_line(dropped - told, options_.format, wall_now());
    told = dropped;
    if (!write_all(lines) && stops_) return;
  }
}

bool RequestLog::write_all(Bytes bytes) {
  if (file_ && file_bytes_ > 0 && file_bytes_ + bytes.size() > options_.limits.file_bytes &&
      !set_aside())
    log_warning("the log of requests grows above its limit", {{"file", options_.path}});
  while (!bytes.empty()) {
    pollfd room{.fd = target(), .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, look_again_milliseconds) == 0) {
      if (stops_) return false;
      continue;
    }
    const ssize_t written =
        ::write(target(), bytes.data(), std::min(bytes.size(), piece_bytes_max));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written < 0) {
      if (!std::exchange(failed_, true) && file_)
        log_warning("the log of requests cannot be written",
                    {{"file", options_.path}, {"reason", std::strerror(errno)}});
      return false;
    }
    failed_ = false;
    file_bytes_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool RequestLog::set_aside() {
  if (std::rename(options_.path.c_str(), (options_.path + ".1").c_str()) != 0) return false;
  FileDescriptor fresh = open_file(options_.path);
  if (!fresh) return false;
  file_ = std::move(fresh);
  file_bytes_ = 0;
  return true;
}

}  // namespace dhrt
