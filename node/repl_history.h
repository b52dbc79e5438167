// The lines typed before, kept in a file: $XDG_STATE_HOME/dhrt/history, or that of
// ~/.local/state. One line each, oldest first; only its owner can read it.
//
// A history that cannot be read or written is none: the REPL works without.
// Bounds: history_lines_max are loaded; a file that has grown to twice that is cut.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "node/options.h"

namespace dhrt {

inline constexpr std::size_t history_lines_max = 2000;

// Empty if neither variable is set.
std::string history_path(const Environment& environment);

class HistoryFile {
 public:
  explicit HistoryFile(std::string path) : path_(std::move(path)) {}
  std::vector<std::string> load();
  // At once, so that two REPLs and a crash lose nothing. The caller leaves secrets out.
  void append(const std::string& line);

 private:
  std::string path_;
};

}  // namespace dhrt
