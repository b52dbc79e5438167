// Preloaded into a node: stands between it and every call that changes a file below a root.
//
// Each call is counted, and may kill the process, fail, or be left out (disk_model.h). Syncs reach
// the shadow instead of a disk. Calls on anything else (sockets, the terminal) pass.
//
// Threads: any; one lock makes the calls happen one after another, so that the call that kills
// is the last one of which anything can be seen.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include "disk_model.h"

namespace {

using killpoints::DiskModel;
using killpoints::Kind;
using killpoints::Verdict;

struct Mapping {
  const char* address = nullptr;
  std::size_t bytes = 0;
  off_t offset = 0;
  int file = -1;  // Of our own.
};

struct Shim {
  std::mutex mutex;
  DiskModel disk;
  std::vector<Mapping> mappings;
};

// Never destroyed: files are written until the very end of a process.
Shim& shim() {
  static auto* const instance = new Shim;
  return *instance;
}

std::string without_tail(std::string path) {
  std::string clean;
  for (const char letter : path) {
    if (letter != '/' || clean.empty() || clean.back() != '/') clean += letter;
  }
  while (clean.size() > 1 && clean.back() == '/')
    clean.pop_back();
  return clean;
}

std::string path_of(int file) {
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size() - 1);
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

std::string absolute(int folder, const char* path) {
  if (path == nullptr) return {};
  if (path[0] == '/') return without_tail(path);
  if (folder != AT_FDCWD) return without_tail(path_of(folder) + "/" + path);
  std::array<char, 4096> current{};
  if (::getcwd(current.data(), current.size()) == nullptr) return {};
  return without_tail(std::string(current.data()) + "/" + path);
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

long failed(int error) {
  errno = error;
  return -1;
}

// A call on a path or a file: judged, done, noted. `act` gives what the call returns, -1 and errno
// after an error; `note` tells the model after it worked.
template <typename Act, typename Note>
long watched(Kind kind, const std::string& path, Act act, Note note) {
  Shim& own = shim();
  if (!own.disk.watches(path)) return act();
  const std::lock_guard lock(own.mutex);
  const Verdict verdict = own.disk.begin(kind, path);
  if (verdict.error != 0) return failed(verdict.error);
  if (verdict.kill_middle) killpoints::die();  // Names change at once or not at all.
  const long result = act();
  if (result >= 0 && !verdict.lost) note(own.disk);
  DiskModel::end(verdict);
  return result;
}

long raw_write(int file, const iovec* parts, int count, off_t offset) {
  if (offset < 0) return ::syscall(SYS_writev, file, parts, count);
  return ::syscall(SYS_pwritev, file, parts, count, offset, 0);
}

std::size_t bytes_of(const iovec* parts, int count) {
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i)
    bytes += parts[i].iov_len;
  return bytes;
}

long write_half(int file, const iovec* parts, int count, off_t offset) {
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  iovec half{bytes.data(), bytes.size() / 2};
  return half.iov_len == 0 ? 0 : raw_write(file, &half, 1, offset);
}

off_t position_of(int file, off_t offset) {
  if (offset >= 0) return offset;
  struct stat status {};
  if ((::fcntl(file, F_GETFL) & O_APPEND) != 0 && ::fstat(file, &status) == 0)
    return status.st_size;
  return ::lseek(file, 0, SEEK_CUR);
}

// `offset` < 0: where the file stands.
long write_parts(Kind kind, int file, const iovec* parts, int count, off_t offset) {
  Shim& own = shim();
  const std::string path = path_of(file);
  if (!own.disk.watches(path)) return raw_write(file, parts, count, offset);
  const std::lock_guard lock(own.mutex);
  const Verdict verdict = own.disk.begin(kind, path);
  const off_t begin = position_of(file, offset);
  const bool half = verdict.half || verdict.kill_middle;
  if (verdict.error != 0 && !half) return failed(verdict.error);
  const auto whole = static_cast<long>(bytes_of(parts, count));
  if (verdict.lost) return whole;
  const long result =
      half ? write_half(file, parts, count, offset) : raw_write(file, parts, count, offset);
  if (result > 0) {
    own.disk.changed(file, begin, begin + result);
    if ((::fcntl(file, F_GETFL) & O_DSYNC) != 0)
      own.disk.synced_range(file, begin, begin + result, false);
  }
  DiskModel::end(verdict);
  return half && result == 0 ? failed(verdict.error) : result;
}

int sync_file(Kind kind, int file) {
  Shim& own = shim();
  const std::string path = path_of(file);
  if (!own.disk.watches(path + "/-")) {
    return static_cast<int>(::syscall(kind == Kind::fsync ? SYS_fsync : SYS_fdatasync, file));
  }
  const std::lock_guard lock(own.mutex);
  const Verdict verdict = own.disk.begin(kind, path);
  if (verdict.error != 0) {
    own.disk.forgotten(file);
    return static_cast<int>(failed(verdict.error));
  }
  struct stat status {};
  if (verdict.lost || ::fstat(file, &status) != 0) return 0;
  if (!S_ISDIR(status.st_mode)) {
    own.disk.synced(file, verdict.kill_middle);
  } else if (!verdict.kill_middle) {
    own.disk.synced_folder(path);
  }
  DiskModel::end(verdict);
  return 0;
}

int sync_mapping(void* address, std::size_t bytes, int flags) {
  Shim& own = shim();
  const std::unique_lock lock(own.mutex);
  const auto* const begin = static_cast<const char*>(address);
  const auto found =
      std::find_if(own.mappings.begin(), own.mappings.end(), [&](const Mapping& mapping) {
        return begin >= mapping.address && begin < mapping.address + mapping.bytes;
      });
  if (found == own.mappings.end() || (flags & MS_SYNC) == 0)
    return static_cast<int>(::syscall(SYS_msync, address, bytes, flags));
  const Verdict verdict = own.disk.begin(Kind::msync, path_of(found->file));
  if (verdict.error != 0) return static_cast<int>(failed(verdict.error));
  if (verdict.lost) return 0;
  const off_t offset = found->offset + (begin - found->address);
  own.disk.synced_range(found->file, offset, offset + static_cast<off_t>(bytes),
                        verdict.kill_middle);
  DiskModel::end(verdict);
  return 0;
}

void* map_file(void* address, std::size_t bytes, int protection, int flags, int file,
               off_t offset) {
  void* const result =
      reinterpret_cast<void*>(::syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
  const bool writes = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0;
  if (result == MAP_FAILED || file < 0 || !writes) return result;
  Shim& own = shim();
  if (!own.disk.watches(path_of(file))) return result;
  const std::lock_guard lock(own.mutex);
  own.disk.mapped(file);
  const int copy = ::fcntl(file, F_DUPFD_CLOEXEC, 3);
  own.mappings.push_back({static_cast<const char*>(result), bytes, offset, copy});
  return result;
}

long open_file(int folder, const char* name, int flags, mode_t mode) {
  const auto open_it = [&] { return ::syscall(SYS_openat, folder, name, flags, mode); };
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return open_it();
  const std::string path = absolute(folder, name);
  Shim& own = shim();
  if (!own.disk.watches(path)) return open_it();
  if (exists(path)) {
    const long file = open_it();
    const std::lock_guard lock(own.mutex);
    if (file >= 0 && (flags & O_TRUNC) != 0) own.disk.changed_all(static_cast<int>(file));
    return file;
  }
  long file = -1;
  const auto create = [&] { return file = open_it(); };
  const auto note = [&](DiskModel& disk) { disk.created(path, static_cast<int>(file)); };
  return watched(Kind::create, path, create, note);
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

int allocate(int file, int mode, off_t offset, off_t bytes) {
  return static_cast<int>(watched(
      Kind::allocate, path_of(file),
      [&] { return ::syscall(SYS_fallocate, file, mode, offset, bytes); },
      [&](DiskModel& disk) {
        // Punched and zeroed ranges lose what was there; added room is zeros.
        if (mode == 0) {
          disk.changed(file, offset, offset + bytes);
        } else {
          disk.changed_all(file);
        }
      }));
}

int truncate_file(int file, off_t bytes) {
  return static_cast<int>(watched(
      Kind::truncate, path_of(file), [&] { return ::syscall(SYS_ftruncate, file, bytes); },
      [&](DiskModel& disk) { disk.changed_all(file); }));
}

int remove_name(int folder, const char* name, int flags) {
  const std::string path = absolute(folder, name);
  return static_cast<int>(watched(
      Kind::unlink, path, [&] { return ::syscall(SYS_unlinkat, folder, name, flags); },
      [&](DiskModel& disk) { disk.removed(path); }));
}

int rename_name(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  const std::string from_path = absolute(from_folder, from);
  const std::string to_path = absolute(to_folder, to);
  return static_cast<int>(watched(
      Kind::rename, to_path,
      [&] { return ::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags); },
      [&](DiskModel& disk) { disk.renamed(from_path, to_path); }));
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
  const iovec part{const_cast<void*>(bytes), count};
  return write_parts(Kind::write, file, &part, 1, -1);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  const iovec part{const_cast<void*>(bytes), count};
  return write_parts(Kind::pwrite, file, &part, 1, offset);
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off_t offset) {
  return pwrite(file, bytes, count, offset);
}

ssize_t writev(int file, const iovec* parts, int count) {
  return write_parts(Kind::writev, file, parts, count, -1);
}

ssize_t pwritev(int file, const iovec* parts, int count, off_t offset) {
  return write_parts(Kind::pwritev, file, parts, count, offset);
}

ssize_t pwritev64(int file, const iovec* parts, int count, off_t offset) {
  return write_parts(Kind::pwritev, file, parts, count, offset);
}

int fsync(int file) {
  return sync_file(Kind::fsync, file);
}

int fdatasync(int file) {
  return sync_file(Kind::fdatasync, file);
}

int msync(void* address, size_t bytes, int flags) {
  return sync_mapping(address, bytes, flags);
}

void* mmap(void* address, size_t bytes, int protection, int flags, int file,
           off_t offset) noexcept {
  return map_file(address, bytes, protection, flags, file, offset);
}

void* mmap64(void* address, size_t bytes, int protection, int flags, int file,
             off_t offset) noexcept {
  return map_file(address, bytes, protection, flags, file, offset);
}

int munmap(void* address, size_t bytes) noexcept {
  Shim& own = shim();
  {
    const std::lock_guard lock(own.mutex);
    for (const Mapping& mapping : own.mappings) {
      if (mapping.address == address) ::close(mapping.file);
    }
    std::erase_if(own.mappings, [&](const Mapping& mapping) { return mapping.address == address; });
  }
  return static_cast<int>(::syscall(SYS_munmap, address, bytes));
}

int open(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(open_file(AT_FDCWD, name, flags, mode));
}

int open64(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(open_file(AT_FDCWD, name, flags, mode));
}

int openat(int folder, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(open_file(folder, name, flags, mode));
}

int openat64(int folder, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(open_file(folder, name, flags, mode));
}

// Streams of the C++ library are opened so, and written with the calls above.
FILE* fopen(const char* name, const char* how) {
  static auto* const real =
      reinterpret_cast<FILE* (*)(const char*, const char*)>(::dlsym(RTLD_NEXT, "fopen"));
  const std::string path = absolute(AT_FDCWD, name);
  if (std::string_view(how).find_first_of("wa") == std::string_view::npos || exists(path))
    return real(name, how);
  FILE* stream = nullptr;
  const auto create = [&]() -> long { return (stream = real(name, how)) == nullptr ? -1 : 0; };
  const auto note = [&](DiskModel& disk) { disk.created(path, ::fileno(stream)); };
  return watched(Kind::create, path, create, note) < 0 ? nullptr : stream;
}

FILE* fopen64(const char* name, const char* how) {
  return fopen(name, how);
}

int ftruncate(int file, off_t bytes) noexcept {
  return truncate_file(file, bytes);
}

int ftruncate64(int file, off_t bytes) noexcept {
  return truncate_file(file, bytes);
}

int truncate(const char* name, off_t bytes) noexcept {
  const int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CLOEXEC));
  if (file < 0) return -1;
  const int result = truncate_file(file, bytes);
  ::close(file);
  return result;
}

int fallocate(int file, int mode, off_t offset, off_t bytes) {
  return allocate(file, mode, offset, bytes);
}

int fallocate64(int file, int mode, off_t offset, off_t bytes) {
  return allocate(file, mode, offset, bytes);
}

int posix_fallocate(int file, off_t offset, off_t bytes) {
  return allocate(file, 0, offset, bytes) == 0 ? 0 : errno;
}

int posix_fallocate64(int file, off_t offset, off_t bytes) {
  return allocate(file, 0, offset, bytes) == 0 ? 0 : errno;
}

int unlink(const char* name) noexcept {
  return remove_name(AT_FDCWD, name, 0);
}

int unlinkat(int folder, const char* name, int flags) noexcept {
  return remove_name(folder, name, flags);
}

int rmdir(const char* name) noexcept {
  return remove_name(AT_FDCWD, name, AT_REMOVEDIR);
}

int remove(const char* name) noexcept {
  struct stat status {};
  const bool folder = ::lstat(name, &status) == 0 && S_ISDIR(status.st_mode);
  return remove_name(AT_FDCWD, name, folder ? AT_REMOVEDIR : 0);
}

int rename(const char* from, const char* to) noexcept {
  return rename_name(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return rename_name(from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  return rename_name(from_folder, from, to_folder, to, flags);
}

int mkdir(const char* name, mode_t mode) noexcept {
  const std::string path = absolute(AT_FDCWD, name);
  return static_cast<int>(watched(
      Kind::mkdir, path, [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, name, mode); },
      [&](DiskModel& disk) { disk.made_folder(path); }));
}

}  // extern "C"
