#include "disk_model.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace killpoints {

namespace {

constexpr off_t block_bytes = 4096;

// System calls, since the functions of these names are the shim's.
int open_file(const std::string& path, int flags) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0644));
}

void close_file(int file) {
  ::syscall(SYS_close, file);
}

void fail_loudly(const std::string& what) {
  std::fprintf(stderr, "killpoints: %s: %s\n", what.c_str(), std::strerror(errno));
  std::abort();
}

void* map(int file, std::size_t bytes, int protection) {
  const auto address = ::syscall(SYS_mmap, nullptr, bytes, protection, MAP_SHARED, file, 0);
  return address == -1 ? nullptr : reinterpret_cast<void*>(address);
}

off_t size_of(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail_loudly("fstat");
  return status.st_size;
}

}  // namespace

void die() {
  ::kill(::getpid(), SIGKILL);
  while (true)
    ::pause();
}

DiskModel::DiskModel() {
  const char* root = std::getenv("KILLPOINTS_ROOT");
  const char* state = std::getenv("KILLPOINTS_STATE");
  if (root == nullptr || state == nullptr) return;
  root_ = root;
  state_ = state;
  const int control = open_file(state_ + "/control", O_RDWR);
  if (control < 0) fail_loudly(state_ + "/control");
  control_ = static_cast<Control*>(map(control, control_bytes, PROT_READ | PROT_WRITE));
  close_file(control);
  if (control_ == nullptr || control_->magic != control_magic) fail_loudly("map control");
  read_journal();
  journal_ = open_file(state_ + "/journal", O_WRONLY | O_APPEND | O_CREAT);
  if (journal_ < 0) fail_loudly(state_ + "/journal");
}

bool DiskModel::watches(const std::string& path) const {
  return control_ != nullptr && path.size() > root_.size() && path.starts_with(root_) &&
         path[root_.size()] == '/';
}

Verdict DiskModel::begin(Kind kind, const std::string& path) {
  Verdict verdict;
  Control& control = *control_;
  const auto index = static_cast<std::size_t>(kind);
  const std::uint64_t bit = std::uint64_t{1} << index;
  const std::uint64_t of_kind = ++control.by_kind[index];
  const std::uint64_t of_all = ++control.calls;
  const std::uint64_t count = control.kill_kind == any_kind ? of_all : of_kind;
  const std::string_view kill_path = control.kill_path.data();
  const bool is_due = kill_path.empty() ? count == control.kill_at
                                        : control.kill_at != 0 && count >= control.kill_at &&
                                              path.ends_with(kill_path);
  if (is_due && (control.kill_kind == any_kind || control.kill_kind == index)) {
    control.killed = 1 + index;
    std::snprintf(control.killed_path.data(), control.killed_path.size(), "%s", path.c_str());
    const auto how = static_cast<KillHow>(control.kill_how);
    if (how == KillHow::before) die();
    verdict.kill_middle = how == KillHow::middle;
    verdict.kill_after = how == KillHow::after;
  }
  if ((control.lose_mask & bit) != 0 && control.lose_every != 0 &&
      of_kind % control.lose_every == 0) {
    ++control.lost;
    verdict.lost = true;
  }
  if ((control.fail_mask & bit) == 0 || path.find(control.fail_path.data()) == std::string::npos)
    return verdict;
  if (control.fail_skip > 0) {
    --control.fail_skip;
  } else if (control.fail_count > 0) {
    if (control.fail_count != without_end) --control.fail_count;
    verdict.half = control.fail_short != 0 && control.failed == 0;
    ++control.failed;
    verdict.error = static_cast<int>(control.fail_errno);
  }
  return verdict;
}

void DiskModel::end(const Verdict& verdict) {
  if (verdict.kill_middle || verdict.kill_after) die();
}

void DiskModel::note(const std::string& line) const {
  const std::string text = line + "\n";
  if (::syscall(SYS_write, journal_, text.data(), text.size()) != static_cast<long>(text.size()))
    fail_loudly("write journal");
}

// Which inode is which file, from processes before this one.
void DiskModel::read_journal() {
  std::FILE* file = std::fopen((state_ + "/journal").c_str(), "r");
  if (file == nullptr) return;
  unsigned long inode = 0;
  unsigned long id = 0;
  std::array<char, 8192> line{};
  while (std::fgets(line.data(), line.size(), file) != nullptr) {
    if (std::sscanf(line.data(), "C\t%lu\t%lu\t", &inode, &id) != 2) continue;
    files_[inode] = FileState();
    files_[inode].id = id;
  }
  std::fclose(file);
}

DiskModel::FileState* DiskModel::find(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  const auto found = files_.find(status.st_ino);
  return found == files_.end() ? nullptr : &found->second;
}

void DiskModel::created(const std::string& path, int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail_loudly(path);
  FileState& state = files_[status.st_ino];  // Inodes are used again.
  state = FileState();
  state.id = ++control_->next_id;
  state.all = false;
  note("C\t" + std::to_string(status.st_ino) + "\t" + std::to_string(state.id) + "\t" + path);
}

void DiskModel::made_folder(const std::string& path) {
  note("M\t" + path);
}

void DiskModel::renamed(const std::string& from, const std::string& to) {
  note("R\t" + from + "\t" + to);
}

void DiskModel::removed(const std::string& path) {
  note("U\t" + path);
}

void DiskModel::changed(int file, off_t begin, off_t end) {
  FileState* state = find(file);
  if (state == nullptr || state->all) return;
  const bool clean = state->begin == state->end;
  state->begin = clean ? begin : std::min(state->begin, begin);
  state->end = clean ? end : std::max(state->end, end);
}

void DiskModel::changed_all(int file) {
  if (FileState* state = find(file)) state->all = true;
}

void DiskModel::mapped(int file) {
  if (FileState* state = find(file)) state->mapped = true;
}

void DiskModel::forgotten(int file) {
  FileState* state = find(file);
  if (state == nullptr || state->all) return;
  state->begin = state->end = 0;
}

void DiskModel::synced(int file, bool half) {
  FileState* state = find(file);
  if (state == nullptr) return;
  const bool all = state->all || state->mapped;
  copy(file, state->id, all ? 0 : state->begin, all ? size_of(file) : state->end, half, true);
  state->all = false;
  state->begin = state->end = 0;
}

void DiskModel::synced_range(int file, off_t begin, off_t end, bool half) {
  if (const FileState* state = find(file)) copy(file, state->id, begin, end, half, false);
}

void DiskModel::synced_folder(const std::string& path) {
  note("S\t" + path);
}

// With `resize` the size goes along, without it the shadow only grows to what is copied.
void DiskModel::copy(int file, std::uint64_t id, off_t begin, off_t end, bool half,
                     bool resize) const {
  const off_t bytes = size_of(file);
  const int shadow = open_file(state_ + "/disk/" + std::to_string(id), O_RDWR | O_CREAT);
  const int source = open_file("/proc/self/fd/" + std::to_string(file), O_RDONLY);
  if (shadow < 0 || source < 0) fail_loudly("open shadow");
  begin = begin / block_bytes * block_bytes;
  end = std::min(end, bytes);
  if (half) end = begin + (end - begin) / 2;
  if (resize || size_of(shadow) < end) {
    if (::syscall(SYS_ftruncate, shadow, resize ? bytes : end) != 0) fail_loudly("resize shadow");
  }
  if (begin < end) {
    const auto length = static_cast<std::size_t>(end);
    auto* to = static_cast<char*>(map(shadow, length, PROT_READ | PROT_WRITE));
    const auto* from = static_cast<const char*>(map(source, length, PROT_READ));
    if (to == nullptr || from == nullptr) fail_loudly("map shadow");
    for (off_t at = begin; at < end; at += block_bytes) {
      const auto count = static_cast<std::size_t>(std::min(block_bytes, end - at));
      if (std::memcmp(to + at, from + at, count) != 0) std::memcpy(to + at, from + at, count);
    }
    ::syscall(SYS_munmap, to, length);
    ::syscall(SYS_munmap, from, length);
  }
  close_file(shadow);
  close_file(source);
}

}  // namespace killpoints
