#include "node/repl_history.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace dhrt {

namespace {

namespace fs = std::filesystem;

// True if every byte is in the file.
bool write_private(const std::string& path, int flags, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, S_IRUSR | S_IWUSR);
  if (file < 0) return false;
  // The mode of open counts only for a new file.
  const bool closed_to_others = fchmod(file, S_IRUSR | S_IWUSR) == 0;
  const auto written = closed_to_others ? write(file, text.data(), text.size()) : -1;
  close(file);
  return written == static_cast<ssize_t>(text.size());
}

void rewrite(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines)
    text += line + "\n";
  const std::string fresh = path + ".new";
  std::error_code error;
  if (write_private(fresh, O_TRUNC, text)) fs::rename(fresh, path, error);
}

}  // namespace

std::string history_path(const Environment& environment) {
  // An XDG variable that is not absolute is to be ignored, says its specification.
  const std::string state = environment("XDG_STATE_HOME").value_or("");
  if (state.starts_with('/')) return state + "/dhrt/history";
  const std::string home = environment("HOME").value_or("");
  return home.empty() ? "" : home + "/.local/state/dhrt/history";
}

std::vector<std::string> HistoryFile::load() {
  std::vector<std::string> lines;
  std::ifstream file(path_);
  std::string line;
  while (std::getline(file, line))
    if (!line.empty()) lines.push_back(line);
  const std::size_t count = lines.size();
  if (count > history_lines_max)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(history_lines_max));
  if (count > 2 * history_lines_max) rewrite(path_, lines);
  return lines;
}

void HistoryFile::append(const std::string& line) {
  if (path_.empty() || line.empty() || line.find('\n') != std::string::npos) return;
  const fs::path folder = fs::path(path_).parent_path();
  std::error_code error;
  if (!fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  // In vain at worst: a history is a convenience.
  static_cast<void>(write_private(path_, O_APPEND, line + "\n"));
}

}  // namespace dhrt
