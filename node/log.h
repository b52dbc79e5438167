// Log lines on standard error, one event each: when, how grave, what, and key=value fields.
//
//   2026-11-21T10:00:00.123Z info  joined the cluster name=a nodes=3
//
// Nobody waits for who reads them: while standard error is a pipe that is full, lines are left out,
// and how many is told with the next one. A line has at most 4,000 bytes.
//
// Field values with blanks, quotes or control characters are quoted, so that nothing a client or
// peer sends can look like a line of its own. Secrets and values of keys never come here.
// Threads: any.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/actions.h"
#include "node/options.h"

namespace dhrt {

using LogField = std::pair<std::string_view, std::string>;

// Lines below the threshold are dropped; `info` until the first call.
void set_log_threshold(LogThreshold threshold);
bool log_shows(LogLevel level);
void log_line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields = {});

// A piece for standard error that is no such line, of at most stderr_piece_bytes_max (a pipe with
// room takes as much at once, pipe(7)). False: there is no room now, and nothing was written; or it
// failed.
inline constexpr std::size_t stderr_piece_bytes_max = 4096;
bool write_to_stderr(std::string_view piece);

// Appends " key=value", the value quoted and escaped where it has to be.
void append_log_field(std::string& out, const LogField& field);

inline void log_info(std::string_view text, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::info, text, fields);
}
inline void log_warning(std::string_view text, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::warning, text, fields);
}
inline void log_error(std::string_view text, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::error, text, fields);
}

}  // namespace dhrt
