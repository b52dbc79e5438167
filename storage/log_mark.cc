#include "storage/log_mark.h"

#include <optional>
#include <unistd.h>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/codec.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr std::uint64_t mark_magic = 0x316b72616d676f6c;  // "logmark1"
// Blocks of a disk of their own.
constexpr std::size_t slot_bytes = 4096;
constexpr std::size_t slots = 2;

struct Slot {
  std::uint64_t number = 0;
  LogCut cut;
};

std::string path_in(const std::string& directory) {
  return directory + "/released";
}

std::string unfinished_path(const std::string& path) {
  return path + ".new";
}

std::string encode_slot(const Slot& slot) {
  std::string out;
  ByteWriter writer(out);
  writer.u64(mark_magic);
  writer.u64(slot.number);
  writer.bytes(encode_cut(slot.cut));
  writer.u64(hash64(out));
  check(out.size() <= slot_bytes, "a mark has room for every event loop");
  return out;
}

std::optional<Slot> decode_slot(Bytes bytes) {
  ByteReader reader(bytes);
  const bool is_one = reader.u64() == mark_magic;
  Slot slot;
  slot.number = reader.u64();
  auto cut = decode_cut(reader.bytes(slot_bytes));
  const std::size_t checked = bytes.size() - reader.rest().size();
  const std::uint64_t checksum = reader.u64();
  if (!reader.ok() || !is_one || !cut || checksum != hash64(bytes.substr(0, checked)))
    return std::nullopt;
  slot.cut = std::move(*cut);
  return slot;
}

// Nothing if no slot can be read.
Result<Slot> read_newest(const LogFile& file) {
  const auto bytes = file.read(slots * slot_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  Slot newest;
  for (std::size_t at = 0; at < bytes->size(); at += slot_bytes) {
    auto slot = decode_slot(Bytes(*bytes).substr(at, slot_bytes));
    if (slot && slot->number > newest.number) newest = std::move(*slot);
  }
  return newest;
}

}  // namespace

Result<std::unique_ptr<LogMark>> LogMark::open(const std::string& directory) {
  const std::string path = path_in(directory);
  if (::access(path.c_str(), F_OK) == 0) {
    auto file = LogFile::open(path);
    if (!file) return tl::unexpected(file.error());
    const auto newest = read_newest(*file);
    if (!newest) return tl::unexpected(newest.error());
    return std::unique_ptr<LogMark>(new LogMark(std::move(*file), newest->number));
  }
  // It has its name when it has its space.
  const std::string unfinished = unfinished_path(path);
  ::unlink(unfinished.c_str());
  auto file = LogFile::create(unfinished);
  if (!file) return tl::unexpected(file.error());
  Status status = file->allocate(slots * slot_bytes);
  if (status) status = file->sync();
  if (status) status = file->rename(path);
  if (status) status = sync_directory(directory);
  if (!status) return tl::unexpected(status.error());
  return std::unique_ptr<LogMark>(new LogMark(std::move(*file), 0));
}

Status LogMark::set(const LogCut& cut) {
  const std::uint64_t number = number_ + 1;
  Status status = file_.write(number % slots * slot_bytes, encode_slot({number, cut}));
  if (status) status = file_.sync();
  if (status) number_ = number;
  return status;
}

void LogMark::remove(const std::string& directory) {
  const std::string path = path_in(directory);
  ::unlink(path.c_str());
  ::unlink(unfinished_path(path).c_str());
}

Status check_beginnings(const std::string& directory, const std::vector<LogFound>& logs) {
  Slot newest;
  const std::string path = path_in(directory);
  if (::access(path.c_str(), F_OK) == 0) {
    const auto file = LogFile::open(path);
    if (!file) return tl::unexpected(file.error());
    auto found = read_newest(*file);
    if (!found) return tl::unexpected(found.error());
    newest = std::move(*found);
  }
  for (const LogFound& log : logs) {
    if (log.begins_after == 0 || newest.cut.covers(log.id, log.begins_after)) continue;
    return fail(ErrorCode::corrupt,
                "a segment of the log is missing before " + log.files.front().path +
                    ": it begins behind position " + std::to_string(log.begins_after) + ", and " +
                    path +
                    " does not say that everything up to there is in the collection files; put "
                    "the segment back from a copy, or move the log directory away, then the node "
                    "starts from its collection files and fetches the rest from its peers");
  }
  return {};
}

}  // namespace dhrt
