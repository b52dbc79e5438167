#include "storage/log_file.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dhrt {

namespace {

constexpr Bytes segment_ending = ".log";
constexpr Bytes spare_ending = ".spare";
constexpr std::size_t run_digits = 10;
constexpr std::size_t loop_digits = 5;
constexpr std::size_t segment_digits = 20;

tl::unexpected<Error> file_error(const std::string& doing, const std::string& path, int number) {
  const bool no_space = number == ENOSPC || number == EDQUOT || number == EFBIG;
  return fail(no_space ? ErrorCode::full : ErrorCode::io,
              (no_space ? "disk full: " : "") + doing + " " + path + ": " +
                  std::generic_category().message(number));
}

std::string padded(std::uint64_t number, std::size_t digits) {
  const std::string text = std::to_string(number);
  return std::string(digits > text.size() ? digits - text.size() : 0, '0') + text;
}

std::string stem_of(const SegmentName& name) {
  return padded(name.log.run, run_digits) + "-" + padded(name.log.loop, loop_digits) + "-" +
         padded(name.segment, segment_digits);
}

// A number of exactly so many digits from the front of `text`.
template <typename Number>
bool take_number(Bytes& text, std::size_t digits, Number& number) {
  if (text.size() < digits) return false;
  const char* const end = text.data() + digits;
  const auto [rest, code] = std::from_chars(text.data(), end, number);
  text.remove_prefix(digits);
  return code == std::errc() && rest == end;
}

bool take_dash(Bytes& text) {
  const bool found = text.starts_with('-');
  if (found) text.remove_prefix(1);
  return found;
}

std::optional<SegmentName> parse_name(Bytes name, Bytes ending) {
  SegmentName parsed;
  if (!take_number(name, run_digits, parsed.log.run) || !take_dash(name) ||
      !take_number(name, loop_digits, parsed.log.loop) || !take_dash(name) ||
      !take_number(name, segment_digits, parsed.segment) || name != ending)
    return std::nullopt;
  return parsed;
}

}  // namespace

std::string segment_file_name(const SegmentName& name) {
  return stem_of(name).append(segment_ending);
}

std::string spare_file_name(const SegmentName& name) {
  return stem_of(name).append(spare_ending);
}

std::optional<SegmentName> parse_segment_file_name(Bytes file_name) {
  return parse_name(file_name, segment_ending);
}

bool is_spare_file_name(Bytes file_name) {
  return parse_name(file_name, spare_ending).has_value();
}

Result<LogFile> LogFile::create(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) return file_error("create log segment", path, errno);
  return LogFile(descriptor, path);
}

Result<LogFile> LogFile::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return file_error("open log segment", path, errno);
  return LogFile(descriptor, path);
}

LogFile::LogFile(LogFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

LogFile::~LogFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::size_t> LogFile::size() const {
  struct stat found {};
  if (::fstat(descriptor_, &found) != 0) return file_error("stat log segment", path_, errno);
  return static_cast<std::size_t>(found.st_size);
}

Status LogFile::allocate(std::size_t bytes) {
  int code = EINTR;
  while (code == EINTR)
    code = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
  if (code == 0) return {};
  return file_error("allocate " + std::to_string(bytes) + " bytes for log segment", path_, code);
}

Status LogFile::write(std::size_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int number = count < 0 ? errno : EIO;
      return file_error("write at byte " + std::to_string(offset) + " of log segment", path_,
                        number);
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
  return {};
}

Result<std::string> LogFile::read(std::size_t bytes) const {
  std::string result(bytes, '\0');
  const auto count = read_into(result.data(), 0, bytes);
  if (!count) return tl::unexpected(count.error());
  result.resize(*count);
  return result;
}

Result<std::size_t> LogFile::read_into(char* memory, std::size_t offset, std::size_t bytes) const {
  std::size_t read = 0;
  while (read < bytes) {
    const ssize_t count =
        ::pread(descriptor_, memory + read, bytes - read, static_cast<off_t>(offset + read));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return file_error("read at byte " + std::to_string(offset + read) + " of log segment", path_,
                        errno);
    }
    if (count == 0) break;
    read += static_cast<std::size_t>(count);
  }
  return read;
}

Status LogFile::sync() {
  int code = -1;
  while (code != 0) {
    code = ::fdatasync(descriptor_);
    if (code != 0 && errno != EINTR) return file_error("sync log segment", path_, errno);
  }
  return {};
}

Status LogFile::truncate(std::size_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0) return {};
  return file_error("truncate log segment", path_, errno);
}

Status LogFile::rename(const std::string& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0)
    return file_error("rename to " + path + " the log segment", path_, errno);
  path_ = path;
  return {};
}

Status LogFile::unlink() {
  if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return {};
  return file_error("remove log segment", path_, errno);
}

Status sync_directory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return file_error("open log directory", directory, errno);
  const int number = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (number == 0) return {};
  return file_error("sync log directory", directory, number);
}

}  // namespace dhrt
