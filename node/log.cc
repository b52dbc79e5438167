#include "node/log.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <utility>

namespace dhrt {

namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> made = [] {
    auto fresh =
        std::make_shared<spdlog::logger>("dhrt", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    fresh->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %-5l %v", spdlog::pattern_time_type::utc));
    fresh->set_level(spdlog::level::info);
    fresh->flush_on(spdlog::level::trace);
    return fresh;
  }();
  return *made;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const char c : text) {
    if (is_control(c)) {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
}

// One writer at a time, or two that both saw room for one would wait.
std::mutex& stderr_mutex() {
  static std::mutex mutex;
  return mutex;
}

bool stderr_has_room() {
  pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&room, 1, 0) != 0;
}

constexpr std::size_t line_bytes_max = 4000;  // With its time, a piece.

}  // namespace

bool write_to_stderr(std::string_view piece) {
  const std::lock_guard lock(stderr_mutex());
  if (!stderr_has_room()) return false;
  return ::write(STDERR_FILENO, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size());
}

void set_log_threshold(LogThreshold threshold) {
  switch (threshold) {
    case LogThreshold::trace:
      return logger().set_level(spdlog::level::trace);
    case LogThreshold::debug:
      return logger().set_level(spdlog::level::debug);
    case LogThreshold::info:
      return logger().set_level(spdlog::level::info);
    case LogThreshold::warning:
      return logger().set_level(spdlog::level::warn);
    case LogThreshold::error:
      return logger().set_level(spdlog::level::err);
  }
}

bool log_shows(LogLevel level) {
  return logger().should_log(to_spdlog(level));
}

void append_log_field(std::string& out, const LogField& field) {
  out += ' ';
  out += field.first;
  out += '=';
  const bool bare = !field.second.empty() && std::ranges::none_of(field.second, [](char c) {
    return c == ' ' || c == '"' || c == '=' || is_control(c);
  });
  if (bare) {
    out += field.second;
    return;
  }
  out += '"';
  append_escaped(out, field.second);
  out += '"';
}

void log_line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) {
  if (!log_shows(level)) return;
  std::string line;
  for (const char c : text)
    line += is_control(c) ? ' ' : c;
  for (const LogField& field : fields)
    append_log_field(line, field);
  if (line.size() > line_bytes_max) line.resize(line_bytes_max);
  static std::uint64_t left_out = 0;  // By the mutex.
  const std::lock_guard lock(stderr_mutex());
  if (!stderr_has_room()) {
    ++left_out;
    return;
  }
  if (left_out > 0) line += " lines_left_out_before=" + std::to_string(std::exchange(left_out, 0));
  logger().log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace dhrt
