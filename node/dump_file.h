// The files that `dhrt export` writes and `dhrt import` reads: a line of JSON per key.
//
//   first line  {"dhrt-export":1}
//   then        {"collection":"c","key":"k","value":"v"}, with "deadline" (milliseconds since
//   1970),
//               "type" (content type) and "encoding":"base64" where they apply
//   last line   {"dhrt-export-end":1,"keys":N,"checksum":"16 hexadecimal digits"}
//
// The checksum is a chain: each line's hash is taken over the hash before it and the line. A file
// whose name ends in .zst holds the same lines in zstd frames (RFC 8878) of whole lines, each with
// a checksum of its own, so that `zstdcat` reads it and an interrupted export can go on behind the
// last whole frame.
//
// Bounds: memory for one frame.   Errors: io, corrupt: file, where, and what to do.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

struct CloseStream {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Stream = std::unique_ptr<std::FILE, CloseStream>;

bool is_compressed_name(Bytes path);

// The checksum of lines, their ends not included.
class LineChain {
 public:
  void add(Bytes line);
  std::string text() const;

 private:
  std::uint64_t hash_ = 0;
};

// Where lines come from. `next` gives a line without its end, absent when there is none.
class LineSource {
 public:
  LineSource() = default;
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;
  virtual ~LineSource() = default;
  virtual Result<std::optional<std::string>> next() = 0;
  // Of the file, up to the end of the last line given.
  virtual std::uint64_t bytes() const = 0;
};

class DumpReader final : public LineSource {
 public:
  // `stream` stands at the beginning and outlives the reader.
  DumpReader(std::FILE* stream, std::string path, bool compressed);
  ~DumpReader() override;

  Result<std::optional<std::string>> next() override;
  // Compressed: up to the end of the last frame that was given whole.
  std::uint64_t bytes() const override { return bytes_; }
  // Whether a line without its end, or a frame cut short, is shown (or refused) at the end of the
  // file; else it is as if it were not there.
  void tail_counts(bool counts) { tail_counts_ = counts; }

 private:
  struct Frames;
  Result<bool> fill();
  Result<bool> fill_plain();
  Result<bool> fill_frame();

  std::FILE* stream_;
  std::string path_;
  std::unique_ptr<Frames> frames_;  // Null: plain lines.
  std::string lines_;
  std::size_t used_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t lines_end_ = 0;  // In the file, of what `lines_` holds.
  bool tail_counts_ = true;
  bool ended_ = false;
};

class DumpWriter {
 public:
  // Writes behind what is in `stream`, which outlives the writer.
  DumpWriter(std::FILE* stream, std::string path, bool compressed);
  DumpWriter(const DumpWriter&) = delete;
  DumpWriter& operator=(const DumpWriter&) = delete;
  ~DumpWriter();

  Status add(Bytes line);
  // Everything added is in the file, and with `sync` on the disk.
  Status flush(bool sync);

 private:
  Status write(Bytes bytes);

  std::FILE* stream_;
  std::string path_;
  struct Compressor;
  std::unique_ptr<Compressor> compressor_;  // Null: plain lines.
  std::string waiting_;
};

}  // namespace dhrt
