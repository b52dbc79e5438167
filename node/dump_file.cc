#include "node/dump_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zstd.h>

#include "storage/base/codec.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

// A frame is cut when it has this many bytes of lines: small enough to lose little when an export
// is interrupted, large enough to compress well.
constexpr std::size_t frame_bytes = std::size_t{1} << 20;
constexpr std::size_t read_bytes = std::size_t{256} << 10;
// A line is a value of 512 MiB at most, in base64 and with its escapes.
constexpr std::size_t line_bytes_max = std::size_t{1} << 30;
// Level 3 is zstd's own choice: faster than a node sends.
constexpr int compression_level = 3;

tl::unexpected<Error> read_failed(const std::string& path) {
  return fail(ErrorCode::io, "reading " + path + " failed: " + std::strerror(errno));
}

tl::unexpected<Error> damaged(const std::string& path, std::uint64_t offset,
                              const std::string& why) {
  return fail(ErrorCode::corrupt, path + " is damaged at or behind byte " + std::to_string(offset) +
                                      " (" + why + "); use another copy of it");
}

}  // namespace

bool is_compressed_name(Bytes path) {
  return path.ends_with(".zst");
}

void LineChain::add(Bytes line) {
  std::string bytes;
  ByteWriter(bytes).u64(hash_);
  bytes += line;
  hash_ = hash64(bytes);
}

std::string LineChain::text() const {
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash_));
  return digits.data();
}

// --- Reading ----------------------------------------------------------------------------------

struct DumpReader::Frames {
  struct Free {
    void operator()(ZSTD_DCtx* freed) const { ZSTD_freeDCtx(freed); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  std::vector<char> input = std::vector<char>(read_bytes);
  ZSTD_inBuffer unread{input.data(), 0, 0};
  std::uint64_t read = 0;  // Bytes of the file that came in.
};

DumpReader::DumpReader(std::FILE* stream, std::string path, bool compressed)
    : stream_(stream),
      path_(std::move(path)),
      frames_(compressed ? std::make_unique<Frames>() : nullptr) {}

DumpReader::~DumpReader() = default;

Result<std::optional<std::string>> DumpReader::next() {
  std::size_t end = lines_.find('\n', used_);
  while (end == std::string::npos) {
    const auto more = fill();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    end = lines_.find('\n', used_);
  }
  if (end == std::string::npos) {
    if (used_ == lines_.size() || !tail_counts_) return std::optional<std::string>();
    end = lines_.size();
  }
  std::string line = lines_.substr(used_, end - used_);
  used_ = std::min(end + 1, lines_.size());
  // Within a frame nobody can go on, only behind it.
  if (!frames_)
    bytes_ += line.size() + 1;
  else if (used_ == lines_.size())
    bytes_ = lines_end_;
  return std::optional<std::string>(std::move(line));
}

Result<bool> DumpReader::fill() {
  if (ended_) return false;
  if (lines_.size() - used_ > line_bytes_max)
    return damaged(path_, bytes_, "a line is longer than " + std::to_string(line_bytes_max));
  lines_.erase(0, std::exchange(used_, 0));
  return frames_ ? fill_frame() : fill_plain();
}

Result<bool> DumpReader::fill_plain() {
  const std::size_t before = lines_.size();
  lines_.resize(before + read_bytes);
  const std::size_t got = std::fread(lines_.data() + before, 1, read_bytes, stream_);
  lines_.resize(before + got);
  if (got < read_bytes && std::ferror(stream_) != 0) return read_failed(path_);
  ended_ = got == 0;
  return !ended_;
}

// One whole frame, or nothing: what the end of the file cuts short is left out.
Result<bool> DumpReader::fill_frame() {
  Frames& frames = *frames_;
  std::string frame;
  bool begun = false;
  for (;;) {
    if (frames.unread.pos == frames.unread.size) {
      const std::size_t got = std::fread(frames.input.data(), 1, frames.input.size(), stream_);
      if (got == 0 && std::ferror(stream_) != 0) return read_failed(path_);
      frames.read += got;
      frames.unread = {frames.input.data(), got, 0};
      if (got == 0) {
        ended_ = true;
        if (begun && tail_counts_)
          return damaged(path_, lines_end_, "the end is missing; was the export interrupted?");
        return false;
      }
    }
    begun = true;
    const std::size_t before = frame.size();
    frame.resize(before + read_bytes);
    ZSTD_outBuffer out{frame.data() + before, read_bytes, 0};
    const std::size_t left = ZSTD_decompressStream(frames.context.get(), &out, &frames.unread);
    frame.resize(before + out.pos);
    if (ZSTD_isError(left) != 0) return damaged(path_, lines_end_, ZSTD_getErrorName(left));
    if (frame.size() > line_bytes_max)
      return damaged(path_, lines_end_, "a frame is larger than any that an export writes");
    if (left == 0) break;
  }
  lines_ += frame;
  lines_end_ = frames.read - (frames.unread.size - frames.unread.pos);
  return true;
}

// --- Writing ----------------------------------------------------------------------------------

struct DumpWriter::Compressor {
  struct Free {
    void operator()(ZSTD_CCtx* freed) const { ZSTD_freeCCtx(freed); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
  std::string out;
};

DumpWriter::DumpWriter(std::FILE* stream, std::string path, bool compressed)
    : stream_(stream), path_(std::move(path)) {
  if (!compressed) return;
  compressor_ = std::make_unique<Compressor>();
  ZSTD_CCtx_setParameter(compressor_->context.get(), ZSTD_c_compressionLevel, compression_level);
  ZSTD_CCtx_setParameter(compressor_->context.get(), ZSTD_c_checksumFlag, 1);
}

DumpWriter::~DumpWriter() = default;

Status DumpWriter::add(Bytes line) {
  waiting_ += line;
  waiting_ += '\n';
  return waiting_.size() < frame_bytes ? Status() : flush(false);
}

Status DumpWriter::flush(bool sync) {
  if (!waiting_.empty()) {
    Bytes bytes = waiting_;
    if (compressor_) {
      std::string& out = compressor_->out;
      out.resize(ZSTD_compressBound(bytes.size()));
      const std::size_t size = ZSTD_compress2(compressor_->context.get(), out.data(), out.size(),
                                              bytes.data(), bytes.size());
      if (ZSTD_isError(size) != 0)
        return fail(ErrorCode::io, "compressing for " + path_ + " failed: " +
                                       ZSTD_getErrorName(size) + "; is there enough memory?");
      bytes = Bytes(out.data(), size);
    }
    if (auto written = write(bytes); !written) return written;
    waiting_.clear();
  }
  if (sync && fsync(fileno(stream_)) != 0 && errno != EINVAL && errno != EROFS)
    return fail(ErrorCode::io, "syncing " + path_ + " failed: " + std::strerror(errno));
  return {};
}

Status DumpWriter::write(Bytes bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream_) == bytes.size() &&
      std::fflush(stream_) == 0)
    return {};
  const ErrorCode code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::full : ErrorCode::io;
  return fail(code, "writing " + path_ + " failed: " + std::strerror(errno) +
                        (code == ErrorCode::full ? "; free space, then go on with --resume" : ""));
}

}  // namespace dhrt
