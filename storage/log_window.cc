#include "storage/log_window.h"

#include <bit>
#include <utility>

namespace dhrt {

Result<LogWindow> LogWindow::open(const std::string& path) {
  auto file = LogFile::open(path);
  if (!file) return tl::unexpected(file.error());
  const auto size = file->size();
  if (!size) return tl::unexpected(size.error());
  return LogWindow(std::move(*file), *size);
}

Result<Bytes> LogWindow::at(std::size_t offset, std::size_t bytes) {
  const std::size_t wanted = std::min(bytes, behind(offset));
  if (wanted == 0) return Bytes();
  if (offset < begin_ || offset + wanted > begin_ + count_) {
    if (auto status = load(offset, wanted); !status) return tl::unexpected(status.error());
  }
  return Bytes(memory_.get(), count_).substr(offset - begin_);
}

Status LogWindow::load(std::size_t offset, std::size_t bytes) {
  if (capacity_ < bytes || capacity_ == 0) {
    capacity_ = std::min(std::max(window_bytes, std::bit_ceil(bytes)), std::max(size_, bytes));
    memory_ = std::make_unique_for_overwrite<char[]>(capacity_);
  }
  count_ = 0;
  const auto count = file_.read_into(memory_.get(), offset, std::min(capacity_, behind(offset)));
  if (!count) return tl::unexpected(count.error());
  begin_ = offset;
  count_ = *count;
  if (count_ < bytes) size_ = begin_ + count_;  // It was cut off meanwhile.
  return {};
}

}  // namespace dhrt
