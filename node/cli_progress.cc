#include "node/cli_progress.h"

#include <algorithm>
#include <ostream>

namespace dhrt {

namespace {

constexpr Duration draw_interval{100};   // Smooth for the eye, cheap for the terminal.
constexpr Duration line_interval{3000};  // A log of a minute has twenty lines.
constexpr std::uint64_t bar_columns = 24;

std::uint64_t keys_per_second(const ProgressState& state) {
  const auto elapsed =
      static_cast<std::uint64_t>(std::max<Duration::rep>(state.elapsed.count(), 1));
  return state.keys * 1000 / elapsed;
}

std::uint64_t percent(const ProgressState& state) {
  return std::min<std::uint64_t>(state.bytes * 100 / state.bytes_total, 100);
}

std::string clock_text(std::uint64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600)
    return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
  return std::to_string(seconds / 3600) + "h" + std::to_string(seconds % 3600 / 60) + "m";
}

// Seconds left if the rest of the bytes goes as fast as those that are done.
std::string time_left(const ProgressState& state) {
  const auto elapsed = static_cast<std::uint64_t>(state.elapsed.count());
  if (state.bytes == 0 || elapsed == 0) return "?";
  const std::uint64_t rest = state.bytes_total - std::min(state.bytes, state.bytes_total);
  const double milliseconds =
      static_cast<double>(rest) * static_cast<double>(elapsed) / static_cast<double>(state.bytes);
  return clock_text(static_cast<std::uint64_t>(milliseconds / 1000 + 0.5));
}

}  // namespace

std::string progress_text(const ProgressState& state) {
  std::string text;
  if (state.bytes_total > 0) text += std::to_string(percent(state)) + "%  ";
  text += std::to_string(state.keys) + " " + std::string(state.unit) + "  " +
          std::to_string(keys_per_second(state)) + " " + std::string(state.unit) + "/s";
  if (state.bytes_total > 0) text += "  ETA " + time_left(state);
  if (state.errors > 0) text += "  " + std::to_string(state.errors) + " errors";
  return text;
}

std::string progress_bar(const ProgressState& state) {
  if (state.bytes_total == 0) return progress_text(state);
  const auto filled = static_cast<std::size_t>(percent(state) * bar_columns / 100);
  return "[" + std::string(filled, '#') + std::string(bar_columns - filled, '.') + "] " +
         progress_text(state);
}

Progress::Progress(std::ostream& out, bool is_terminal, Time now)
    : out_(out), is_terminal_(is_terminal), start_(now) {
  next_ = now + (is_terminal ? draw_interval : line_interval);
}

void Progress::update(ProgressState state, Time now) {
  if (now < next_) return;
  next_ = now + (is_terminal_ ? draw_interval : line_interval);
  state.elapsed = now - start_;
  if (is_terminal_)
    out_ << "\r" << progress_bar(state) << "\x1b[K" << std::flush;
  else
    out_ << progress_text(state) << std::endl;
  drawn_ = is_terminal_;
}

void Progress::clear() {
  if (drawn_) out_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace dhrt
