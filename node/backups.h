// Backups of a running node: consistent copies of its collection files, made on a thread of their
// own while clients are served.
//
// A client names a backup, and never a path: backups are folders below --backup-dir, so that
// nobody who reaches the port can write elsewhere.
//
// Errors: invalid_argument: the name; precondition: there is one of that name; busy: one is being
// made; unavailable: nothing is on disk here. Threads: start() and progress() on any.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "storage/engine.h"

namespace dhrt {

struct BackupMade {
  std::string path;
  std::uint64_t collections = 0;
  std::uint64_t bytes = 0;
};

class Backups {
 public:
  // `directory`: of all backups; empty: there is nothing on disk to copy. `engine` outlives this.
  Backups(Engine& engine, std::string directory)
      : engine_(engine), directory_(std::move(directory)) {}
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;
  // Waits for the one under way.
  ~Backups();

  using Done = std::function<void(Result<BackupMade>)>;
  // `files`: so many are to be copied, as far as is known now; for those who watch.
  // `done` is called on the backup's thread, if this returns well.
  Status start(const std::string& name, std::uint64_t files, Done done);

  struct Progress {
    bool running = false;
    std::uint64_t collections = 0;  // That are copied.
    std::uint64_t collections_total = 0;
  };
  Progress progress() const;

 private:
  Result<BackupMade> make(const std::string& path);

  Engine& engine_;
  const std::string directory_;
  mutable std::mutex mutex_;
  Progress progress_;
  std::thread thread_;
};

}  // namespace dhrt
