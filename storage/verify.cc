#include "storage/verify.h"

#include <algorithm>
#include <filesystem>

#include "storage/collection_file.h"
#include "storage/data_directory.h"
#include "storage/log_mark.h"
#include "storage/log_reader.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t findings_max = 5;
// One read transaction does not live longer than this many records.
constexpr std::size_t records_per_slice = 4096;

using ShowProgress = std::function<bool(const VerifyProgress&)>;

std::uint64_t bytes_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

class FileCheck {
 public:
  FileCheck(CollectionFile& file, std::uint64_t file_bytes, FileReport& report,
            VerifyProgress& progress, const ShowProgress& show)
      : file_(file),
        file_bytes_(file_bytes),
        bytes_before_(progress.bytes),
        report_(report),
        progress_(progress),
        show_(show) {}

  Status run() {
    auto meta = file_.meta(0);
    if (!meta) {
      note(meta.error().message);
      return {};
    }
    meta_ = std::move(*meta);
    if (auto checked = check_records(); !checked) return checked;
    if (auto checked = check_index(); !checked) return checked;
    if (auto checked = check_graves(); !checked) return checked;
    // They are of what is in the records: a flush joins them when its sweep comes by.
    const std::uint64_t live = report_.records - tombstones_;
    if (report_.damaged == 0 && (live != meta_.live || tombstones_ != meta_.tombstones))
      note("the counts say " + std::to_string(meta_.live) + " keys and " +
           std::to_string(meta_.tombstones) + " tombstones; there are " + std::to_string(live) +
           " and " + std::to_string(tombstones_));
    return {};
  }

 private:
  Status check_records() {
    std::string from;
    for (bool more = true; more;) {
      std::size_t seen = 0;
      more = false;
      const Status scanned = file_.scan(0, from, !from.empty(), [&](Bytes key, Bytes encoded) {
        check(key, encoded);
        from = std::string(key);
        more = ++seen == records_per_slice;
        return !more;
      });
      if (!scanned) note(scanned.error().message);
      if (auto shown = show(); !shown) return shown;
    }
    return {};
  }

  void check(Bytes key, Bytes encoded) {
    ++report_.records;
    ++progress_.records;
    const auto record = decode_record(encoded, key, meta_.origins);
    if (!record || record->damaged) {
      ++report_.damaged;
      note("key '" + std::string(key) +
           "': " + (record ? "its checksum does not match" : record.error().message));
      return;
    }
    const bool deleted = record->deleted || meta_.flushed.contains(record->dot);
    report_.tombstones += deleted ? 1 : 0;
    tombstones_ += record->deleted ? 1 : 0;
    if (!deleted) report_.bytes += key.size() + record->value.size();
  }

  // A record that no dot leads to would never reach a peer.
  Status check_index() {
    std::uint64_t indexed = 0;
    for (std::size_t alias = 0; alias < meta_.origins.size(); ++alias) {
      AliasDot from{static_cast<OriginAlias>(alias), 0};
      for (bool more = true; more;) {
        std::size_t seen = 0;
        more = false;
        const Status walked = file_.walk(0, from, [&](AliasDot dot, Bytes, Bytes) {
          ++indexed;
          from.sequence = dot.sequence + 1;
          more = ++seen == records_per_slice;
          return !more;
        });
        if (!walked) note(walked.error().message);
        if (auto shown = show(); !shown) return shown;
      }
    }
    const auto unsettled = file_.count_unsettled(0);
    if (!unsettled) {
      note(unsettled.error().message);
    } else {
      indexed += *unsettled;
    }
    const std::uint64_t readable = report_.records - report_.damaged;
    report_.unindexed = readable > indexed ? readable - indexed : 0;
    return {};
  }

  // A tombstone that is not found by its dot would never go.
  Status check_graves() {
    if (!file_.knows_graves()) return {};
    std::uint64_t found = 0;
    for (std::size_t alias = 0; alias < meta_.origins.size(); ++alias) {
      AliasDot from{static_cast<OriginAlias>(alias), 0};
      for (bool more = true; more;) {
        std::size_t seen = 0;
        more = false;
        const Status looked = file_.graves(0, from, [&](AliasDot dot, Bytes) {
          from.sequence = dot.sequence + 1;
          more = ++seen == records_per_slice;
          return !more;
        });
        if (!looked) note(looked.error().message);
        found += seen;
        if (auto shown = show(); !shown) return shown;
      }
    }
    if (report_.damaged == 0 && found < tombstones_)
      note(std::to_string(tombstones_ - found) +
           " tombstones are not in the table 'expiry' and would stay for ever");
    return {};
  }

  void note(const std::string& finding) {
    if (report_.findings.size() < findings_max) report_.findings.push_back(finding);
  }

  // How far it is in a file is told by how many of its records were seen.
  Status show() {
    const std::uint64_t expected = meta_.live + meta_.tombstones;
    const std::uint64_t seen = std::min(report_.records, expected);
    const double part =
        expected == 0 ? 0 : static_cast<double>(seen) / static_cast<double>(expected);
    progress_.bytes =
        bytes_before_ + static_cast<std::uint64_t>(part * static_cast<double>(file_bytes_));
    if (show_(progress_)) return {};
    return fail(ErrorCode::unavailable, "interrupted");
  }

  CollectionFile& file_;
  const std::uint64_t file_bytes_;
  const std::uint64_t bytes_before_;  // Of the files before this one.
  FileReport& report_;
  VerifyProgress& progress_;
  const ShowProgress& show_;
  FileMeta meta_;
  std::uint64_t tombstones_ = 0;  // Without those of a flush that are not written as such yet.
};

Status check_file(const std::string& path, const std::string& name, VerifyReport& report,
                  VerifyProgress& progress, const ShowProgress& show) {
  const std::uint64_t before = progress.bytes;
  FileReport of_file;
  of_file.collection = name;
  auto file = CollectionFile::open({.path = path});
  if (!file) {
    of_file.findings.push_back(file.error().message);
  } else {
    FileCheck check(**file, bytes_of(path), of_file, progress, show);
    if (auto checked = check.run(); !checked) return checked;
  }
  progress.bytes = before + bytes_of(path);
  report.files.push_back(std::move(of_file));
  return {};
}

Status check_logs(const std::string& directory, VerifyReport& report, VerifyProgress& progress,
                  const ShowProgress& show) {
  const auto logs = find_logs(directory, false);
  if (!logs) {
    report.findings.push_back(logs.error().message);
    return {};
  }
  if (const Status begun = check_beginnings(directory, *logs); !begun)
    report.findings.push_back(begun.error().message);
  for (const LogFound& log : *logs) {
    LogReport of_log{
        .name = "run " + std::to_string(log.id.run) + ", loop " + std::to_string(log.id.loop),
        .bytes_torn = log.bytes_cut};
    const Status replayed = replay_log(log, 0, [&](const FrameHead&, Bytes body) -> Status {
      ++of_log.frames;
      of_log.bytes += body.size();
      if (of_log.frames % records_per_slice != 0 || show(progress)) return {};
      return fail(ErrorCode::unavailable, "interrupted");
    });
    if (!replayed && replayed.error().code == ErrorCode::unavailable) return replayed;
    if (!replayed) report.findings.push_back(replayed.error().message);
    report.logs.push_back(std::move(of_log));
  }
  return {};
}

}  // namespace

bool VerifyReport::sound() const {
  return findings.empty() &&
         std::ranges::all_of(files, [](const FileReport& file) { return file.sound(); });
}

Result<VerifyReport> verify_directory(const std::string& path, const ShowProgress& show) {
  std::error_code error;
  const fs::path root(path);
  const bool of_node = fs::is_directory(root / "collections", error);
  const fs::path files = of_node ? root / "collections" : root;
  if (!fs::is_directory(files, error))
    return fail(ErrorCode::not_found,
                "there is no directory " + path + "; give a node's --data-dir, or a backup");
  const auto directory = DataDirectory::open(files.string());
  if (!directory) return tl::unexpected(directory.error());
  const auto names = (*directory)->collections();
  if (!names) return tl::unexpected(names.error());
  if (names->empty() && !of_node)
    return fail(ErrorCode::not_found,
                path + " holds no .mdb files; give a node's --data-dir, or a backup");

  VerifyReport report;
  VerifyProgress progress;
  for (const std::string& name : *names)
    progress.bytes_total += bytes_of((*directory)->file_of(name));
  for (const std::string& name : *names) {
    const Status checked = check_file((*directory)->file_of(name), name, report, progress, show);
    if (!checked) return tl::unexpected(checked.error());
  }
  if (fs::is_directory(root / "log", error)) {
    const Status checked = check_logs((root / "log").string(), report, progress, show);
    if (!checked) return tl::unexpected(checked.error());
  }
  return report;
}

}  // namespace dhrt
