// How far a long command is, for a person who waits: a bar on a terminal, which is drawn over
// itself, or else a line every few seconds, fit for a log.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "storage/base/time.h"

namespace dhrt {

struct ProgressState {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;  // 0: not known, as of a pipe.
  std::uint64_t keys = 0;
  std::string_view unit = "keys";  // What is counted.
  std::uint64_t errors = 0;
  Duration elapsed{};
};

// One line without its end: percentage, keys, keys a second, time left.
std::string progress_text(const ProgressState& state);
// The same with a bar, at most 80 columns wide.
std::string progress_bar(const ProgressState& state);

class Progress {
 public:
  // `out` outlives the object.
  Progress(std::ostream& out, bool is_terminal, Time now);
  // Draws if it is time to.
  void update(ProgressState state, Time now);
  // Clears what was drawn, so that messages begin on a line of their own.
  void clear();

 private:
  std::ostream& out_;
  bool is_terminal_;
  Time start_;
  Time next_;
  bool drawn_ = false;
};

}  // namespace dhrt
