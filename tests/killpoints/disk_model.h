// What a disk would still hold after a power cut, and when the power is cut.
//
// Intuition: the page cache is one copy of every file, the disk another. A preloaded shim (shim.cc)
// tells this model of every call that changes a file below one root; a sync copies the file into
// the shadow, which is the disk. Names are files of their own: a journal keeps what happened to
// them, and when their folder was synced. The test puts the disk together from both.
//
// control, one page that the test maps, too: which call kills the process, which ones fail, which
// are left out on purpose; and how many calls of each kind there were. killpoints.py has the same
// layout.
//
// journal, lines of words separated by tabs: C inode id path (created), M path (folder made),
// R from to (renamed), U path (removed), S path (names of the folder synced).
//
// Threads: the caller holds the one lock of the shim.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <sys/types.h>

namespace killpoints {

enum class Kind : std::uint8_t {
  write,
  pwrite,
  writev,
  pwritev,
  fsync,
  fdatasync,
  msync,
  rename,
  unlink,
  truncate,
  allocate,
  create,
  mkdir,
};
inline constexpr std::size_t kinds = 13;
inline constexpr std::uint64_t any_kind = 255;
inline constexpr std::uint64_t without_end = UINT64_MAX;

enum class KillHow : std::uint64_t { before, middle, after };

struct Control {
  std::uint64_t magic;
  std::uint64_t calls;
  std::uint64_t kill_kind;  // A kind, or any_kind.
  // The call of that kind, from 1; 0: never. With a kill_path: the first on it from this call on.
  std::uint64_t kill_at;
  std::uint64_t kill_how;
  std::uint64_t fail_mask;   // Bits of kinds.
  std::uint64_t fail_skip;   // Calls to let pass before.
  std::uint64_t fail_count;  // Calls to fail; without_end: all from then on.
  std::uint64_t fail_errno;
  std::uint64_t fail_short;  // 1: the first write to fail does half, as on a disk getting full.
  std::uint64_t lose_mask;   // Kinds that say they were done, and were not: a test of the test.
  std::uint64_t lose_every;  // Of these calls, each n-th.
  std::uint64_t next_id;
  std::uint64_t killed;  // 1 + the kind of the call that killed; 0: none did.
  std::uint64_t failed;  // Calls that were made to fail.
  std::uint64_t lost;
  std::array<std::uint64_t, 16> by_kind;
  std::array<char, 64> fail_path;  // Part of the path of calls to fail; empty: any.
  std::array<char, 64> kill_path;  // The end of the path of the call; empty: any.
  std::array<char, 512> killed_path;
};
inline constexpr std::uint64_t control_magic = 0x315448474e4c494b;
inline constexpr std::size_t control_bytes = 4096;
static_assert(sizeof(Control) <= control_bytes);

// What is to happen to a call.
struct Verdict {
  int error = 0;  // To fail with.
  bool half = false;
  bool lost = false;
  bool kill_middle = false;
  bool kill_after = false;
};

[[noreturn]] void die();

class DiskModel {
 public:
  // From KILLPOINTS_ROOT and KILLPOINTS_STATE; without them nothing is watched.
  DiskModel();
  DiskModel(const DiskModel&) = delete;
  DiskModel& operator=(const DiskModel&) = delete;
  ~DiskModel() = default;

  bool watches(const std::string& path) const;
  // Counts the call, and kills the process if it is to die before it.
  Verdict begin(Kind kind, const std::string& path);
  // After the call: kills if it is to die then.
  static void end(const Verdict& verdict);

  void created(const std::string& path, int file);
  void made_folder(const std::string& path);
  void renamed(const std::string& from, const std::string& to);
  void removed(const std::string& path);
  // The bytes [begin, end) were changed. `end` may be beyond the file.
  void changed(int file, off_t begin, off_t end);
  void changed_all(int file);
  // Changes through memory are not seen: every sync looks at all of the file.
  void mapped(int file);
  // Whatever was not synced up to now is not going to be: the kernel forgets it after an error.
  void forgotten(int file);
  // Everything changed goes to the shadow; only the first half of it if the power goes meanwhile.
  void synced(int file, bool half);
  void synced_range(int file, off_t begin, off_t end, bool half);
  void synced_folder(const std::string& path);

 private:
  struct FileState {
    std::uint64_t id = 0;
    bool all = true;  // Not known what was changed, as in a mapped file.
    bool mapped = false;
    off_t begin = 0;
    off_t end = 0;
  };

  FileState* find(int file);
  void copy(int file, std::uint64_t id, off_t begin, off_t end, bool half, bool resize) const;
  void note(const std::string& line) const;
  void read_journal();

  std::string root_;
  std::string state_;
  Control* control_ = nullptr;
  int journal_ = -1;
  std::map<ino_t, FileState> files_;
};

}  // namespace killpoints
