#include "storage/data_directory.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "storage/lmdb_env.h"
#include "storage/record.h"

namespace dhrt {

namespace {

constexpr const char* file_ending = ".mdb";
constexpr const char* damaged_ending = ".damaged";  // As the cure of a damaged file says.

tl::unexpected<Error> io_error(const std::string& doing, const std::error_code& code) {
  return fail(ErrorCode::io, doing + ": " + code.message() +
                                 "; name a directory that the node's user can write to");
}

std::error_code last_error() {
  return {errno, std::generic_category()};
}

// Makes a directory, and those above it, and sees that it can be written to.
Status make_directory(const std::string& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) return io_error("make the data directory " + path, code);
  if (::access(path.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  return io_error("use the data directory " + path, last_error());
}

}  // namespace

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(const std::string& path) {
  if (auto status = make_directory(path); !status) return tl::unexpected(status.error());
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return io_error("open the data directory " + path, last_error());
  std::unique_ptr<DataDirectory> directory(new DataDirectory(path, descriptor));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return directory;
  if (errno == EWOULDBLOCK) {
    return fail(ErrorCode::busy, "another process has the data directory " + path +
                                     "; stop it, or name another directory");
  }
  return io_error("lock the data directory " + path, last_error());
}

DataDirectory::~DataDirectory() {
  ::close(descriptor_);
}

std::string DataDirectory::file_of(const std::string& collection) const {
  return path_ + "/" + collection + file_ending;
}

Result<std::vector<std::string>> DataDirectory::collections() const {
  std::error_code code;
  std::vector<std::string> names;
  std::filesystem::directory_iterator files(path_, code);
  for (; !code && files != std::filesystem::directory_iterator(); files.increment(code)) {
    const std::filesystem::path& file = files->path();
    const std::string name = file.stem().string();
    if (file.extension() != file_ending) continue;
    if (valid_collection_name(name) || system_collection_name(name)) names.push_back(name);
  }
  if (code) return io_error("list the data directory " + path_, code);
  std::ranges::sort(names);
  return names;
}

Status DataDirectory::remove_unfinished() const {
  const std::string ending = LmdbEnv::unfinished_path(file_ending);
  std::error_code code;
  std::vector<std::filesystem::path> found;
  std::filesystem::directory_iterator files(path_, code);
  for (; !code && files != std::filesystem::directory_iterator(); files.increment(code)) {
    const std::string name = files->path().filename().string();
    if (name.ends_with(ending) || name.ends_with(ending + "-lock")) found.push_back(files->path());
  }
  if (code) return io_error("list the data directory " + path_, code);
  for (const std::filesystem::path& file : found) {
    std::filesystem::remove(file, code);
    if (code) return io_error("remove " + file.string(), code);
  }
  return {};
}

Status DataDirectory::remove(const std::string& collection) const {
  const std::string file = file_of(collection);
  std::error_code code;
  std::filesystem::remove(file, code);
  if (code) return io_error("remove " + file, code);
  std::filesystem::remove(file + "-lock", code);
  if (code) return io_error("remove " + file + "-lock", code);
  return sync();
}

Result<std::string> DataDirectory::set_aside(const std::string& collection) const {
  const std::string file = file_of(collection);
  std::string aside = file + damaged_ending;
  std::error_code code;
  for (int number = 2; std::filesystem::exists(aside, code); ++number)
    aside = file + damaged_ending + "-" + std::to_string(number);
  std::filesystem::rename(file, aside, code);
  if (code) return io_error("rename " + file + " to " + aside, code);
  std::filesystem::remove(file + "-lock", code);
  if (auto status = sync(); !status) return tl::unexpected(status.error());
  return aside;
}

bool DataDirectory::was_set_aside(const std::string& collection) const {
  std::error_code code;
  return std::filesystem::exists(file_of(collection) + damaged_ending, code);
}

Status DataDirectory::sync() const {
  if (::fsync(descriptor_) == 0) return {};
  return io_error("sync the data directory " + path_, last_error());
}

Result<EngineDirectory> open_engine_directory(const std::string& path) {
  auto collections = DataDirectory::open(path + "/collections");
  if (!collections) return tl::unexpected(collections.error());
  EngineDirectory directory{.collections = std::move(*collections), .log = path + "/log"};
  if (auto status = make_directory(directory.log); !status) return tl::unexpected(status.error());
  return directory;
}

}  // namespace dhrt
