#include "storage/lmdb_pages.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "storage/lmdb_format.h"

namespace dhrt {

namespace lmdb {

namespace {

// What the newer meta page leads to.
struct Roots {
  Snapshot snapshot;
  Tree free;
  Tree main;
};

bool read_meta(ReadAt read, std::uint64_t offset, MetaPage& page) {
  std::array<char, sizeof page> bytes{};
  if (!read(offset, bytes)) return false;
  std::memcpy(&page, bytes.data(), sizeof page);
  return true;
}

bool is_meta_page(const MetaPage& page, std::uint64_t number) {
  return page.head.number == number && page.head.flags == page_is_meta && page.magic == magic &&
         page.version == data_version;
}

bool page_size_is_sound(std::size_t bytes) {
  return std::has_single_bit(bytes) && bytes >= page_bytes_min && bytes <= page_bytes_max;
}

bool never_committed(const std::array<MetaPage, 2>& pages) {
  return pages[0].txn == 0 && pages[1].txn == 0 && pages[0].main.root == no_page;
}

// A commit writes the page that the one before it did not, its number last: of the older page only
// the number is sure to be what it was.
bool two_in_a_row(const std::array<MetaPage, 2>& pages) {
  const std::uint64_t low = std::min(pages[0].txn, pages[1].txn);
  const std::uint64_t high = std::max(pages[0].txn, pages[1].txn);
  return high == low + 1 && pages[1].txn % 2 == 1 && pages[0].free.flags == pages[1].free.flags &&
         pages[0].free.pad == pages[1].free.pad;
}

std::optional<Fault> read_roots(ReadAt read, std::uint64_t bytes, Roots& roots) {
  // A file gets its name when all of it is on the disk.
  if (bytes == 0) return Fault{0, "it is empty"};
  std::array<MetaPage, 2> pages{};
  if (!read_meta(read, 0, pages[0]) || !is_meta_page(pages[0], 0))
    return Fault{0, "it is not an LMDB file, or its first page is damaged"};
  const std::size_t page_bytes = pages[0].free.pad;
  if (!page_size_is_sound(page_bytes)) return Fault{0, "it says that pages have another size"};
  if (!read_meta(read, page_bytes, pages[1]) || !is_meta_page(pages[1], 1))
    return Fault{1, "it is not the second page of an LMDB file"};
  if (never_committed(pages)) return Fault{0, "the file was never written to the end"};
  if (!two_in_a_row(pages)) return Fault{0, "it and the second page contradict each other"};
  const std::uint64_t newest = pages[0].txn > pages[1].txn ? 0 : 1;
  const MetaPage& meta = pages[newest];
  if (meta.last_page >= bytes / page_bytes) {
    return Fault{newest, "it tells of " + std::to_string(meta.last_page) + " more pages of " +
                             std::to_string(page_bytes) + " bytes, the file has " +
                             std::to_string(bytes) + ": it is cut off, or the page is damaged"};
  }
  roots.snapshot = {.page_bytes = page_bytes, .last_page = meta.last_page, .txn = meta.txn};
  roots.free = {.kind = TreeKind::free_list, .told_by = newest, .head = meta.free};
  roots.main = {.kind = TreeKind::tables, .told_by = newest, .head = meta.main};
  return std::nullopt;
}

}  // namespace

std::optional<Fault> fault_of_file(ReadAt read, std::uint64_t bytes, Snapshot& found) {
  Roots roots;
  if (auto fault = read_roots(read, bytes, roots)) return fault;
  found = roots.snapshot;
  UsedPages used(roots.snapshot.last_page);
  for (std::uint64_t page = 0; page < meta_pages; ++page)
    used.add(page);
  TreeWalk free(read, roots.snapshot, roots.free);
  if (auto fault = free.all(used)) return fault;
  // Every commit but the first frees the pages that it replaced, under its own number.
  if (roots.snapshot.txn > 1 && free.last_freed() != roots.snapshot.txn)
    return Fault{roots.free.told_by, "its list of free pages is of another commit"};
  TreeWalk main(read, roots.snapshot, roots.main);
  if (auto fault = main.all(used)) return fault;
  for (const Tree& table : main.tables()) {
    if (auto fault = TreeWalk(read, roots.snapshot, table).all(used)) return fault;
  }
  return std::nullopt;
}

namespace {

// One slice of one tree.
std::optional<Fault> fault_of_slice(ReadAt read, std::uint64_t bytes, const LmdbPlace& place,
                                    std::size_t leaves_max, LmdbSlice& slice) {
  Roots roots;
  if (auto fault = read_roots(read, bytes, roots)) return fault;
  Tree tree = place.tree == 0 ? roots.free : roots.main;
  std::size_t trees = 2;
  if (place.tree > 0) {
    TreeWalk main(read, roots.snapshot, roots.main);
    std::string from;
    TreeWalk::Slice ignored;
    if (auto fault = main.some(from, std::numeric_limits<std::size_t>::max(), ignored))
      return fault;
    trees += main.tables().size();
    if (place.tree >= trees) return std::nullopt;
    if (place.tree >= 2) tree = main.tables()[place.tree - 2];
  }
  slice.next = place;
  TreeWalk::Slice walked;
  TreeWalk walk(read, roots.snapshot, tree);
  if (auto fault = walk.some(slice.next.key, leaves_max, walked)) return fault;
  if (!walked.more) slice.next = {.tree = place.tree + 1, .key = {}};
  slice.more = walked.more || place.tree == 0 || place.tree + 1 < trees;
  slice.bytes = walked.pages * roots.snapshot.page_bytes;
  return std::nullopt;
}

}  // namespace

}  // namespace lmdb

namespace {

class File {
 public:
  explicit File(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (ok()) ::close(descriptor_);
  }
  bool ok() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

bool read_at(int descriptor, std::uint64_t offset, std::span<char> to) {
  const ssize_t got = ::pread(descriptor, to.data(), to.size(), static_cast<off_t>(offset));
  return got == static_cast<ssize_t>(to.size());
}

tl::unexpected<Error> corrupt(const std::string& path, const lmdb::Fault& fault) {
  return fail(ErrorCode::corrupt, path + " is damaged in page " + std::to_string(fault.page) +
                                      ": " + fault.what + "; " + damaged_file_cure);
}

tl::unexpected<Error> io_error(const std::string& path) {
  return fail(ErrorCode::io, "open " + path + ": " + std::generic_category().message(errno) +
                                 "; let the node's user read and write the file");
}

}  // namespace

Result<std::size_t> inspect_lmdb_file(const std::string& path) {
  const File file(path);
  struct stat found {};
  if (!file.ok() || ::fstat(file.descriptor(), &found) != 0) return io_error(path);
  if (!S_ISREG(found.st_mode)) {
    return fail(ErrorCode::io, path + " is not a regular file; move it out of the data directory");
  }
  const auto bytes = static_cast<std::size_t>(found.st_size);
  const auto read = [&](std::uint64_t offset, std::span<char> to) {
    return read_at(file.descriptor(), offset, to);
  };
  lmdb::Snapshot snapshot;
  if (const auto fault = lmdb::fault_of_file(read, bytes, snapshot)) return corrupt(path, *fault);
  return bytes / snapshot.page_bytes * snapshot.page_bytes;
}

Result<LmdbSlice> inspect_lmdb_slice(int descriptor, const std::string& path,
                                     const LmdbPlace& place, std::size_t leaves_max) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return io_error(path);
  const auto read = [&](std::uint64_t offset, std::span<char> to) {
    return read_at(descriptor, offset, to);
  };
  LmdbSlice slice;
  const auto bytes = static_cast<std::uint64_t>(found.st_size);
  if (const auto fault = lmdb::fault_of_slice(read, bytes, place, leaves_max, slice))
    return corrupt(path, *fault);
  return slice;
}

}  // namespace dhrt
