// Checkpoints that clients ask for: everything goes to the files while clients are served.
//
// Errors of start(): busy: one that was asked for is under way. Threads: any.
#pragma once

#include <functional>
#include <mutex>
#include <thread>

#include "storage/engine.h"

namespace dhrt {

class Saves {
 public:
  // `engine` outlives this.
  explicit Saves(Engine& engine) : engine_(engine) {}
  Saves(const Saves&) = delete;
  Saves& operator=(const Saves&) = delete;
  // Waits for the one under way.
  ~Saves();

  // `done` is called on a thread of its own, if this returns well.
  Status start(std::function<void(Status)> done);
  bool running() const;
  // How the last one ended.
  bool failed() const;

 private:
  Engine& engine_;
  mutable std::mutex mutex_;
  bool running_ = false;
  bool failed_ = false;
  std::thread thread_;
};

}  // namespace dhrt
