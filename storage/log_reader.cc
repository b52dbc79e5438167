#include "storage/log_reader.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "storage/log_file.h"

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

Result<std::string> read_file(const std::string& path) {
  const auto file = LogFile::open(path);
  if (!file) return tl::unexpected(file.error());
  const auto size = file->size();
  if (!size) return tl::unexpected(size.error());
  return file->read(*size);
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
  void follow_chain(Bytes bytes, const SegmentName& name);
  bool chains(const FrameHead& head, const SegmentName& name) const;
  void look_behind(Bytes bytes, const SegmentName& name, std::size_t from);
  std::size_t torn_bytes(Bytes rest, const SegmentName& name) const;

  LogFound found_;
  std::optional<std::uint64_t> salt_;  // Of the segment; absent: its header does not say.
  bool ended_ = false;                 // The chain did.
  std::size_t stopped_ = 0;            // The file in which it ended.
  std::uint64_t torn_ = 0;             // There.
  std::vector<std::size_t> seen_;      // By file: where the last frame that does not chain ends.
};

Status Scan::add(const Segment& segment) {
  const auto bytes = read_file(segment.path);
  if (!bytes) return tl::unexpected(bytes.error());
  found_.files.push_back({segment.path, 0});
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
  if (usable && !ended_) follow_chain(*bytes, segment.name);
  look_behind(*bytes, segment.name, std::max(found_.files.back().end, log_header_bytes));
  return {};
}

bool Scan::chains(const FrameHead& head, const SegmentName& name) const {
  // Only in its first file may a log begin behind something that was released.
  const bool may_begin = found_.last == 0 && found_.files.size() == 1;
  return head.log == name.log && head.segment == name.segment && head.salt == salt_ &&
         (may_begin || head.previous == found_.last) && head.position > head.previous;
}

void Scan::follow_chain(Bytes bytes, const SegmentName& name) {
  std::size_t end = log_header_bytes;
  for (;;) {
    const Bytes rest = bytes.substr(end);
    const auto head = decode_frame_head(rest);
    if (!head || !chains(*head, name) || head->frame_bytes() > rest.size() ||
        !frame_is_intact(rest.substr(0, head->frame_bytes())))
      break;
    if (found_.last == 0) found_.begins_after = head->previous;
    found_.last = head->position;
    found_.synced = std::max(found_.synced, head->synced_upto);
    end += head->frame_bytes();
  }
  found_.files.back().end = end;
  // If the first frame does not chain, it is in the segment before that something is missing.
  const auto head = decode_frame_head(bytes.substr(end));
  if (end > log_header_bytes || (head && chains(*head, name))) {
    stopped_ = found_.files.size() - 1;
    torn_ = torn_bytes(bytes.substr(end), name);
  }
}

// What begins like a frame of this life, and what is too short for any.
std::size_t Scan::torn_bytes(Bytes rest, const SegmentName& name) const {
  if (rest.size() < log_frame_head_bytes)
    return rest.find_first_not_of('\0') == Bytes::npos ? 0 : rest.size();
  const auto head = decode_frame_head(rest);
  if (!head || head->log != name.log || head->segment != name.segment || head->salt != salt_)
    return 0;
  return std::min(rest.size(), head->frame_bytes());
}

// Frames that do not chain: they still say what was synced.
void Scan::look_behind(Bytes bytes, const SegmentName& name, std::size_t from) {
  while (const auto at = find_frame(bytes, from, name.log, name.segment, salt_)) {
    const auto head = decode_frame_head(bytes.substr(*at));
    found_.synced = std::max(found_.synced, head->synced_upto);
    from = *at + head->frame_bytes();
    seen_.back() = from;
    ended_ = true;
  }
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

// Where the first frame above `after` begins; the end of `bytes`, which are valid, if there is
// none.
std::size_t offset_above(Bytes bytes, Position after) {
  std::size_t at = log_header_bytes;
  while (at < bytes.size()) {
    const auto head = decode_frame_head(bytes.substr(at));
    if (!head || head->position > after) break;
    at += head->frame_bytes();
  }
  return at;
}

Status secure_file(const LogFound::File& found, Position synced) {
  auto file = LogFile::open(found.path);
  if (!file) return tl::unexpected(file.error());
  const auto bytes = file->read(found.end);
  if (!bytes) return tl::unexpected(bytes.error());
  // With nothing synced in it, not even the header is sure.
  std::size_t from = offset_above(*bytes, synced);
  if (from <= log_header_bytes) from = 0;
  Status status;
  if (from < bytes->size()) status = file->write(from, Bytes(*bytes).substr(from));
  if (status) status = file->truncate(bytes->size());
  if (status) status = file->sync();
  return status;
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
  for (const LogFound::File& found : log.files) {
    const auto file = LogFile::open(found.path);
    if (!file) return tl::unexpected(file.error());
    const auto bytes = file->read(found.end);
    if (!bytes) return tl::unexpected(bytes.error());
    for (std::size_t at = log_header_bytes; at < found.end;) {
      const Bytes rest = Bytes(*bytes).substr(std::min(at, bytes->size()));
      const auto head = decode_frame_head(rest);
      if (!head || !frame_is_intact(rest.substr(0, head->frame_bytes()))) {
        return fail(ErrorCode::corrupt, "log segment " + found.path + " changed at byte " +
                                            std::to_string(at) +
                                            " while it was read; check the disk");
      }
      const Bytes body = rest.substr(log_frame_head_bytes, head->body_bytes);
      if (head->position > after) {
        if (Status status = show(*head, body); !status)
          return fail(status.error(),
                      "log segment " + found.path + " at byte " + std::to_string(at));
      }
      at += head->frame_bytes();
    }
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
