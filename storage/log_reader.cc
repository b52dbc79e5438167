#include "storage/log_reader.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "storage/log_file.h"
#include "storage/log_window.h"

namespace dhrt {

namespace {

struct Segment {
  SegmentName name;
  std::string path;
};
using Segments = std::vector<Segment>;

tl::unexpected<Error> directory_error(const std::string& doing, const std::string& path,
                                      const std::error_code& code) {
  return fail(ErrorCode::io,
              doing + " " + path + ": " + code.message() + "; give the node's user access to it");
}

// The segments of every log in the directory, in order.
Result<std::map<LogId, Segments>> list_segments(const std::string& directory, bool remove_spare) {
  std::error_code code;
  std::map<LogId, Segments> logs;
  std::filesystem::directory_iterator files(directory, code);
  std::vector<std::filesystem::path> spares;
  for (; !code && files != std::filesystem::directory_iterator(); files.increment(code)) {
    const std::filesystem::path& path = files->path();
    const std::string name = path.filename().string();
    if (const auto segment = parse_segment_file_name(name))
      logs[segment->log].push_back({*segment, path.string()});
    else if (is_spare_file_name(name))
      spares.push_back(path);
  }
  if (code) return directory_error("list the log directory", directory, code);
  for (const auto& spare : spares) {
    if (remove_spare) std::filesystem::remove(spare, code);
    if (code) return directory_error("remove", spare.string(), code);
  }
  for (auto& [id, segments] : logs)
    std::ranges::sort(segments, {}, &Segment::name);
  return logs;
}

// A frame from its head on, if there is all of it, and it is as it was written; empty: it is not.
Result<Bytes> read_frame(LogWindow& window, std::size_t at) {
  auto bytes = window.at(at, log_frame_head_bytes);
  if (!bytes) return bytes;
  const auto head = decode_frame_head(*bytes);
  if (!head || head->frame_bytes() > window.behind(at)) return Bytes();
  bytes = window.at(at, head->frame_bytes());
  if (!bytes) return bytes;
  const Bytes frame = bytes->substr(0, head->frame_bytes());
  return frame_is_intact(frame) ? frame : Bytes();
}

// Goes through the segments of one log in order, and finds out where its valid part ends.
//
// Each frame names the one before it. Where that chain ends is the end of the log, or of its
// valid part: that depends on whether anything behind, or before, says that more was synced.
class Scan {
 public:
  explicit Scan(LogId id) { found_.id = id; }

  Status add(const Segment& segment);
  Result<LogFound> finish(bool remove_spare);

 private:
  Status follow_chain(LogWindow& window, const SegmentName& name);
  bool chains(const FrameHead& head, const SegmentName& name) const;
  Status look_behind(LogWindow& window, const SegmentName& name, std::size_t from);
  std::size_t torn_bytes(Bytes rest, std::size_t size, const SegmentName& name) const;

  LogFound found_;
  std::optional<std::uint64_t> salt_;  // Of the segment; absent: its header does not say.
  bool ended_ = false;                 // The chain did.
  std::size_t stopped_ = 0;            // The file in which it ended.
  std::uint64_t torn_ = 0;             // There.
  std::vector<std::size_t> seen_;      // By file: where the last frame that does not chain ends.
};

Status Scan::add(const Segment& segment) {
  auto window = LogWindow::open(segment.path);
  if (!window) return tl::unexpected(window.error());
  const auto bytes = window->at(0, log_header_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  found_.files.push_back({.path = segment.path});
  seen_.push_back(0);
  const auto header = decode_segment_header(*bytes);
  if (!header && header.error().code == ErrorCode::precondition)
    return fail(header.error(), "read " + segment.path);
  // Without a header of its own it was never finished, or is damaged: then what is behind it does
  // not chain.
  const bool usable =
      header && header->log == segment.name.log && header->segment == segment.name.segment;
  salt_.reset();
  if (usable) {
    found_.node = header->node;
    salt_ = header->salt;
  }
  if (usable && !ended_) {
    if (auto status = follow_chain(*window, segment.name); !status) return status;
  }
  return look_behind(*window, segment.name, std::max(found_.files.back().end, log_header_bytes));
}

bool Scan::chains(const FrameHead& head, const SegmentName& name) const {
  // Only in its first file may a log begin behind something that was released.
  const bool may_begin = found_.last == 0 && found_.files.size() == 1;
  return head.log == name.log && head.segment == name.segment && head.salt == salt_ &&
         (may_begin || head.previous == found_.last) && head.position > head.previous;
}

Status Scan::follow_chain(LogWindow& window, const SegmentName& name) {
  LogFound::File& file = found_.files.back();
  file.end = log_header_bytes;
  for (;;) {
    const auto bytes = window.at(file.end, log_frame_head_bytes);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto head = decode_frame_head(*bytes);
    if (!head || !chains(*head, name)) break;
    const auto frame = read_frame(window, file.end);
    if (!frame) return tl::unexpected(frame.error());
    if (frame->empty()) break;
    if (found_.last == 0) found_.begins_after = head->previous;
    file.last = found_.last = head->position;
    found_.synced = std::max(found_.synced, head->synced_upto);
    file.end += head->frame_bytes();
  }
  // If the first frame does not chain, it is in the segment before that something is missing.
  const auto rest = window.at(file.end, log_frame_head_bytes);
  if (!rest) return tl::unexpected(rest.error());
  const auto head = decode_frame_head(*rest);
  if (file.end > log_header_bytes || (head && chains(*head, name))) {
    stopped_ = found_.files.size() - 1;
    torn_ = torn_bytes(*rest, window.behind(file.end), name);
  }
  return {};
}

// What begins like a frame of this life, and what is too short for any. `rest`: `size` bytes, or
// the first of them.
std::size_t Scan::torn_bytes(Bytes rest, std::size_t size, const SegmentName& name) const {
  if (size < log_frame_head_bytes) return rest.find_first_not_of('\0') == Bytes::npos ? 0 : size;
  const auto head = decode_frame_head(rest);
  if (!head || head->log != name.log || head->segment != name.segment || head->salt != salt_)
    return 0;
  return std::min(size, head->frame_bytes());
}

// Frames that do not chain: they still say what was synced.
Status Scan::look_behind(LogWindow& window, const SegmentName& name, std::size_t from) {
  while (window.behind(from) >= log_frame_head_bytes) {
    const auto bytes = window.at(from, log_frame_head_bytes);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto at = find_frame_head(*bytes, 0, name.log, name.segment, salt_);
    if (!at) {
      // A head may begin in what is too short for one.
      from += std::max(bytes->size(), log_frame_head_bytes) - (log_frame_head_bytes - 1);
      continue;
    }
    from += *at;
    const auto frame = read_frame(window, from);
    if (!frame) return tl::unexpected(frame.error());
    if (frame->empty()) {
      ++from;
      continue;
    }
    found_.synced = std::max(found_.synced, decode_frame_head(*frame)->synced_upto);
    from += frame->size();
    seen_.back() = from;
    ended_ = true;
  }
  return {};
}

Result<LogFound> Scan::finish(bool remove_spare) {
  if (found_.synced > found_.last) {
    const LogFound::File& file = found_.files[stopped_];
    return fail(ErrorCode::corrupt,
                "log segment " + file.path + " is damaged at byte " + std::to_string(file.end) +
                    ", or the one behind it is: position " + std::to_string(found_.synced) +
                    " was synced, the last that can be read is " + std::to_string(found_.last) +
                    "; put the file back from a copy, or move the log directory away, then the "
                    "node starts from its collection files and fetches the rest from its peers");
  }
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const std::size_t valid = found_.files[i].end;
    const std::size_t seen = seen_[i] > valid ? seen_[i] - valid : 0;
    found_.bytes_cut += std::max<std::uint64_t>(seen, i == stopped_ ? torn_ : 0);
  }
  while (!found_.files.empty() && found_.files.back().end <= log_header_bytes &&
         seen_.back() == 0 && (stopped_ + 1 != found_.files.size() || torn_ == 0)) {
    std::error_code code;
    const std::string path = found_.files.back().path;
    if (remove_spare) std::filesystem::remove(path, code);
    if (code) return directory_error("remove", path, code);
    found_.files.pop_back();
    seen_.pop_back();
  }
  return std::move(found_);
}

// Where the first frame above `after` begins; the end of the valid ones if there is none.
Result<std::size_t> offset_above(LogWindow& window, const LogFound::File& found, Position after) {
  if (found.last != 0 && found.last <= after) return found.end;
  std::size_t at = log_header_bytes;
  while (at < found.end) {
    const auto bytes = window.at(at, log_frame_head_bytes);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto head = decode_frame_head(*bytes);
    if (!head || head->position > after) break;
    at += head->frame_bytes();
  }
  return std::min(at, found.end);
}

Status write_again(LogWindow& window, std::size_t from, std::size_t end) {
  while (from < end) {
    const auto bytes = window.at(from, 1);
    if (!bytes) return tl::unexpected(bytes.error());
    const Bytes piece = bytes->substr(0, end - from);
    if (piece.empty()) break;  // It became shorter; see secure_file().
    if (auto status = window.file().write(from, piece); !status) return status;
    from += piece.size();
  }
  return {};
}

Status secure_file(const LogFound::File& found, Position synced) {
  auto window = LogWindow::open(found.path);
  if (!window) return tl::unexpected(window.error());
  const auto above = offset_above(*window, found, synced);
  if (!above) return tl::unexpected(above.error());
  // With nothing synced in it, not even the header is sure.
  const std::size_t from = *above <= log_header_bytes ? 0 : *above;
  // Whoever reads it next says so if it became shorter since it was found.
  const std::size_t end = std::min(found.end, window->size());
  Status status = write_again(*window, from, end);
  if (status) status = window->file().truncate(end);
  if (status) status = window->file().sync();
  return status;
}

Status replay_file(const LogFound::File& found, Position after,
                   FunctionRef<Status(const FrameHead& head, Bytes body)> show) {
  auto window = LogWindow::open(found.path);
  if (!window) return tl::unexpected(window.error());
  for (std::size_t at = log_header_bytes; at < found.end;) {
    const auto frame = read_frame(*window, at);
    if (!frame) return tl::unexpected(frame.error());
    if (frame->empty()) {
      return fail(ErrorCode::corrupt, "log segment " + found.path + " changed at byte " +
                                          std::to_string(at) +
                                          " while it was read; check the disk");
    }
    const auto head = decode_frame_head(*frame);
    if (head->position > after) {
      if (Status status = show(*head, frame->substr(log_frame_head_bytes)); !status)
        return fail(status.error(), "log segment " + found.path + " at byte " + std::to_string(at));
    }
    at += frame->size();
  }
  return {};
}

}  // namespace

Result<std::vector<LogFound>> find_logs(const std::string& directory, bool remove_spare) {
  const auto logs = list_segments(directory, remove_spare);
  if (!logs) return tl::unexpected(logs.error());
  std::vector<LogFound> result;
  for (const auto& [id, segments] : *logs) {
    Scan scan(id);
    for (const Segment& segment : segments) {
      if (const Status status = scan.add(segment); !status) return tl::unexpected(status.error());
    }
    auto found = scan.finish(remove_spare);
    if (!found) return tl::unexpected(found.error());
    if (!found->files.empty()) result.push_back(std::move(*found));
  }
  return result;
}

Status replay_log(const LogFound& log, Position after,
                  FunctionRef<Status(const FrameHead& head, Bytes body)> show) {
  for (const LogFound::File& file : log.files) {
    if (Status status = replay_file(file, after, show); !status) return status;
  }
  return {};
}

Status secure_log(const std::string& directory, const LogFound& log) {
  for (const LogFound::File& file : log.files) {
    if (Status status = secure_file(file, log.synced); !status) return status;
  }
  return sync_directory(directory);
}

Status remove_log(const std::string& directory, const LogFound& log) {
  // In order, so that an end of the process in between leaves no gap.
  for (const LogFound::File& file : log.files) {
    std::error_code code;
    std::filesystem::remove(file.path, code);
    if (code) return directory_error("remove", file.path, code);
  }
  return sync_directory(directory);
}

}  // namespace dhrt
