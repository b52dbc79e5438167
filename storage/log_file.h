// One file of a log, and what its name says.
//
// Errors: full ("disk full: ..."): there is no space, or a limit on the size of files is reached.
// io: everything else. Both name the call, the file and what the system says.
// Threads: none of its own; one thread may write while another syncs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/result.h"
#include "storage/log_format.h"

namespace dhrt {

struct SegmentName {
  LogId log;
  std::uint64_t segment = 0;

  auto operator<=>(const SegmentName&) const = default;
};

// Names sort like run, loop, segment. A spare is a segment that is done with and waits to become
// the next; nothing in it counts.
std::string segment_file_name(const SegmentName& name);
std::string spare_file_name(const SegmentName& name);
// Absent: it is no segment, or a spare.
std::optional<SegmentName> parse_segment_file_name(Bytes file_name);
bool is_spare_file_name(Bytes file_name);

class LogFile {
 public:
  // A new one; an old one of the same name is an error.
  static Result<LogFile> create(const std::string& path);
  static Result<LogFile> open(const std::string& path);
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) = delete;
  ~LogFile();

  const std::string& path() const { return path_; }
  Result<std::size_t> size() const;
  // Takes the disk space up to `bytes`, so that writing below that needs none.
  Status allocate(std::size_t bytes);
  Status write(std::size_t offset, Bytes bytes);
  // Up to `bytes` from the start; fewer if the file ends.
  Result<std::string> read(std::size_t bytes) const;
  // The same from `offset`, into memory that has room for them; how many there are.
  Result<std::size_t> read_into(char* memory, std::size_t offset, std::size_t bytes) const;
  Status sync();
  Status truncate(std::size_t bytes);
  Status rename(const std::string& path);
  Status unlink();

 private:
  LogFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  int descriptor_;
  std::string path_;
};

// After this, files keep the names that they have been given in the directory.
Status sync_directory(const std::string& directory);

}  // namespace dhrt
