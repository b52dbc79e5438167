#include "node/request_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "node/log.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration second{1000};
constexpr std::chrono::milliseconds look_again{100};  // While nobody reads.
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
    const auto count = static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
    const std::uint64_t dropped = dropped_;
    if (dropped > told) lines += dropped_line(dropped - told, options_.format, wall_now());
    if (file_ ? write_file(lines) : write_stderr(lines)) {
      told = dropped;
    } else {
      dropped_ += count;
      if (stops_) return;
    }
  }
}

// Whoever reads standard error may be behind; the loops are not to wait for that.
bool RequestLog::write_stderr(Bytes lines) {
  bool last_look = false;  // The owner wants to stop; a reader who goes on reading gets the rest.
  while (!lines.empty()) {
    const std::size_t end = lines.substr(0, stderr_piece_bytes_max).rfind('\n');
    const Bytes piece = lines.substr(0, end == Bytes::npos ? stderr_piece_bytes_max : end + 1);
    if (write_to_stderr(piece)) {
      lines.remove_prefix(piece.size());
      last_look = false;
      continue;
    }
    if (last_look) return false;
    std::unique_lock lock(mutex_);
    last_look = stops_;
    wakes_.wait_for(lock, look_again, [&] { return stops_ && !last_look; });
  }
  return true;
}

bool RequestLog::write_file(std::string lines) {
  if (torn_) lines.insert(0, 1, '\n');
  if (file_bytes_ > 0 && file_bytes_ + lines.size() > options_.limits.file_bytes && !set_aside())
    return tell_failure("it is full, and cannot be set aside: ");
  Bytes bytes = lines;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tell_failure("");
    torn_ = true;
    file_bytes_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  failed_ = torn_ = false;
  return true;
}

// By errno. Once, until a line is written again.
bool RequestLog::tell_failure(const std::string& what) {
  const std::string reason = what + std::strerror(errno);
  if (!std::exchange(failed_, true))
    log_warning("the log of requests cannot be written; its lines are left out",
                {{"file", options_.path}, {"reason", reason}});
  return false;
}

bool RequestLog::set_aside() {
  // Somebody else may have moved it, or a file could be moved before, and no new one opened.
  const bool moved = std::rename(options_.path.c_str(), (options_.path + ".1").c_str()) == 0;
  if (!moved && errno != ENOENT) return false;
  FileDescriptor fresh = open_file(options_.path);
  if (!fresh) return false;
  file_ = std::move(fresh);
  file_bytes_ = 0;
  return true;
}

}  // namespace dhrt
