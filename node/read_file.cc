#include "node/read_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace dhrt {

Result<std::string> read_file(const std::string& path) {
  std::error_code ignored;
  // It opens like a file, and throws when it is read. Containers make one where a file is missing.
  if (std::filesystem::is_directory(path, ignored))
    return fail(ErrorCode::invalid_argument, "it cannot be read: it is a directory; name a file");
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad())
    return fail(ErrorCode::invalid_argument,
                "it cannot be read; check the path and its permissions");
  return text;
}

}  // namespace dhrt
