// Ways for a disk to be full: a file system of a few megabytes, and a limit of this process.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include "tests/storage/temporary_directory.h"

namespace dhrt::test {

// A file system of its own, gone with the test. The test fails where it may not mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    const std::string options = "size=" + size;
    const int result = ::mount("tmpfs", where_.path().c_str(), "tmpfs", 0, options.c_str());
    const int code = errno;
    REQUIRE_MESSAGE(result == 0,
                    "this test mounts a tmpfs and must run as root: " << std::strerror(code));
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { ::umount2(where_.path().c_str(), MNT_DETACH); }

  const std::string& path() const { return where_.path(); }
  std::string file(const std::string& name) const { return where_.file(name); }
  void forbid_writing() {
    const auto flags = MS_REMOUNT | MS_RDONLY;
    REQUIRE(::mount("tmpfs", path().c_str(), "tmpfs", flags, nullptr) == 0);
  }

 private:
  TemporaryDirectory where_;
};

// Files of this process can only grow to `bytes` while one of these lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace dhrt::test
