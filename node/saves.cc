#include "node/saves.h"

#include <string>
#include <system_error>
#include <utility>

namespace dhrt {

Saves::~Saves() {
  if (thread_.joinable()) thread_.join();
}

Status Saves::start(std::function<void(Status)> done) {
  const std::lock_guard lock(mutex_);
  if (running_) return fail(ErrorCode::busy, "a checkpoint is under way");
  if (thread_.joinable()) thread_.join();
  const auto run = [this, done = std::move(done)] {
    const Status saved = engine_.checkpoint();
    {
      const std::lock_guard ended(mutex_);
      running_ = false;
      failed_ = !saved;
    }
    done(saved);
  };
  try {
    thread_ = std::thread(run);
  } catch (const std::system_error& error) {
    return fail(ErrorCode::unavailable,
                std::string("there is no thread for a checkpoint: ") + error.what());
  }
  running_ = true;
  return {};
}

bool Saves::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

bool Saves::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

}  // namespace dhrt
