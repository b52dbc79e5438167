#include "storage/lmdb_pages.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "storage/base/bytes.h"

namespace dhrt {

namespace {

// As in LMDB 0.9's mdb.c, on a 64-bit machine, in its byte order.
struct PageHead {
  std::uint64_t number;
  std::uint16_t pad;
  std::uint16_t flags;
  std::uint16_t lower;
  std::uint16_t upper;
};
static_assert(sizeof(PageHead) == 16);

struct TreeHead {
  std::uint32_t pad;  // Of the first tree: the page size.
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t branch_pages;
  std::uint64_t leaf_pages;
  std::uint64_t overflow_pages;
  std::uint64_t entries;
  std::uint64_t root;
};
static_assert(sizeof(TreeHead) == 48);

struct MetaPage {
  PageHead head;
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address;
  std::uint64_t map_bytes;
  TreeHead free;
  TreeHead main;
  std::uint64_t last_page;
  std::uint64_t txn;
};
static_assert(sizeof(MetaPage) == 152);

constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;
constexpr std::uint32_t lmdb_data_version = 1;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::size_t page_bytes_min = 4096;
constexpr std::size_t page_bytes_max = std::size_t{64} << 10;
constexpr std::uint16_t page_is_branch = 0x01;
constexpr std::uint16_t page_is_leaf = 0x02;
constexpr std::uint16_t page_is_meta = 0x08;
constexpr std::uint16_t tree_flags = 0x7f;  // The others are of the environment.
constexpr std::uint16_t integer_keys = 0x08;
constexpr std::uint16_t depth_max = 32;

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

  // False if the file ends before.
  template <typename T>
  bool read(std::size_t offset, T& target) const {
    const ssize_t got = ::pread(descriptor_, &target, sizeof target, static_cast<off_t>(offset));
    return got == static_cast<ssize_t>(sizeof target);
  }

 private:
  int descriptor_;
};

tl::unexpected<Error> corrupt(const std::string& path, const std::string& what) {
  return fail(ErrorCode::corrupt, path + " " + what +
                                      "; restore the file from a backup, or move it away and let "
                                      "the peers fill a new one");
}

tl::unexpected<Error> io_error(const std::string& path) {
  return fail(ErrorCode::io, "open " + path + ": " + std::generic_category().message(errno) +
                                 "; let the node's user read and write the file");
}

bool is_meta_page(const MetaPage& page, std::uint64_t number) {
  return page.head.number == number && page.head.flags == page_is_meta &&
         page.magic == lmdb_magic && page.version == lmdb_data_version;
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

// `last`: the last page that is in use.
bool tree_is_sound(const File& file, const TreeHead& tree, std::size_t page_bytes,
                   std::uint64_t last) {
  if (tree.root == no_page) return tree.depth == 0 && tree.entries == 0;
  if (tree.root < 2 || tree.root > last || tree.depth == 0 || tree.depth > depth_max) return false;
  if (tree.branch_pages > last || tree.leaf_pages > last || tree.overflow_pages > last)
    return false;
  PageHead root{};
  if (!file.read(tree.root * page_bytes, root) || root.number != tree.root) return false;
  const std::uint16_t expected = tree.depth == 1 ? page_is_leaf : page_is_branch;
  return root.flags == expected && root.lower >= sizeof root && root.lower <= root.upper &&
         root.upper <= page_bytes;
}

Result<std::size_t> inspect_metas(const File& file, const std::string& path, std::size_t bytes) {
  std::array<MetaPage, 2> pages{};
  if (!file.read(0, pages[0]) || !is_meta_page(pages[0], 0))
    return corrupt(path, "is not an LMDB file, or its first page is damaged");
  const std::size_t page_bytes = pages[0].free.pad;
  if (!page_size_is_sound(page_bytes) || !file.read(page_bytes, pages[1]) ||
      !is_meta_page(pages[1], 1))
    return corrupt(path, "is damaged in its second page");
  if (never_committed(pages)) return corrupt(path, "is damaged: it was never written to the end");
  if (!two_in_a_row(pages))
    return corrupt(path, "is damaged: its meta pages contradict each other");
  const MetaPage& newest = pages[0].txn > pages[1].txn ? pages[0] : pages[1];
  if (newest.last_page >= bytes / page_bytes) {
    return corrupt(path, "has " + std::to_string(bytes) + " bytes and should have " +
                             std::to_string(newest.last_page + 1) + " pages of " +
                             std::to_string(page_bytes) +
                             ": it is cut off, or its meta page is "
                             "damaged");
  }
  const bool sound = newest.main.flags == 0 && (newest.free.flags & tree_flags) == integer_keys &&
                     tree_is_sound(file, newest.free, page_bytes, newest.last_page) &&
                     tree_is_sound(file, newest.main, page_bytes, newest.last_page);
  if (!sound) return corrupt(path, "is damaged: its meta page leads nowhere");
  return bytes / page_bytes * page_bytes;
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
  // A file gets its name when all of it is on the disk.
  if (bytes == 0) return corrupt(path, "is damaged: it is empty");
  return inspect_metas(file, path, bytes);
}

}  // namespace dhrt
