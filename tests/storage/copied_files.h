// What a power cut leaves: the files of a log or of a whole store, as they are while it runs.
#pragma once

#include <filesystem>
#include <string>

namespace dhrt::test {

// A prepared segment gets its name at any time; whatever vanished under the copy, it begins again.
inline void copy_as_they_are(const std::string& from, const std::string& to) {
  constexpr int tries = 100;
  for (int i = 1;; ++i) {
    std::error_code failed;
    std::filesystem::copy(from, to,
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::overwrite_existing,
                          failed);
    if (!failed) return;
    if (failed != std::errc::no_such_file_or_directory || i == tries)
      throw std::filesystem::filesystem_error("cannot copy", from, to, failed);
    std::filesystem::remove_all(to);
  }
}

}  // namespace dhrt::test
