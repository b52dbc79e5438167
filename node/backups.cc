#include "node/backups.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "storage/log_file.h"

namespace dhrt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t name_bytes_max = 100;
constexpr std::string_view unfinished_ending = ".partial";

bool is_good_name(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= name_bytes_max && name.front() != '.' &&
         !name.ends_with(unfinished_ending) && std::ranges::all_of(name, good);
}

}  // namespace

Backups::~Backups() {
  if (thread_.joinable()) thread_.join();
}

Status Backups::start(const std::string& name, std::uint64_t files, Done done) {
  if (directory_.empty())
    return fail(ErrorCode::unavailable,
                "this node keeps everything in memory; use `dhrt export` instead");
  if (!is_good_name(name))
    return fail(ErrorCode::invalid_argument,
                "a backup is named by letters, digits, '-', '_' and '.', e.g. monday, and not "
                "*.partial; it becomes a folder below --backup-dir (" +
                    directory_ + ")");
  const std::string path = (fs::path(directory_) / name).string();
  std::error_code error;
  // Also if it is a link to nothing.
  if (fs::symlink_status(path, error).type() != fs::file_type::not_found)
    return fail(ErrorCode::precondition,
                path + " is there already; remove it, or choose another name");
  const std::lock_guard lock(mutex_);
  if (progress_.running)
    return fail(ErrorCode::busy, "another backup is being made; ask again when it is done");
  if (thread_.joinable()) thread_.join();
  progress_ = {.running = true, .collections = 0, .collections_total = files};
  thread_ = std::thread([this, path, done = std::move(done)] {
    auto made = make(path);
    {
      const std::lock_guard ended(mutex_);
      progress_.running = false;
    }
    done(std::move(made));
  });
  return {};
}

Result<BackupMade> Backups::make(const std::string& path) {
  // A name that stands for a complete backup appears only when there is one.
  const std::string unfinished = path + std::string(unfinished_ending);
  std::error_code error;
  fs::create_directories(directory_, error);
  fs::remove_all(unfinished, error);
  const Status copied = engine_.backup(unfinished, [this](const std::string&) {
    const std::lock_guard lock(mutex_);
    ++progress_.collections;
  });
  if (!copied) {
    fs::remove_all(unfinished, error);
    return tl::unexpected(copied.error());
  }
  BackupMade made{.path = path};
  for (const auto& file : fs::recursive_directory_iterator(unfinished, error)) {
    if (!file.is_regular_file(error)) continue;
    ++made.collections;
    made.bytes += file.file_size(error);
  }
  fs::rename(unfinished, path, error);
  if (error)
    return fail(ErrorCode::io, "renaming " + unfinished + " to " + path +
                                   " failed: " + error.message() + "; it is complete");
  // What is answered outlasts a power cut.
  Status synced = sync_directory(directory_);
  if (synced) synced = sync_directory(fs::absolute(directory_).parent_path().string());
  if (!synced) return tl::unexpected(synced.error());
  return made;
}

Backups::Progress Backups::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

}  // namespace dhrt
