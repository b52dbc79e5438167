// Goes through a tree of an LMDB file as LMDB would, and looks at every page before it believes it.
//
// Intuition: what LMDB wrote has one shape: each page is whole (storage/lmdb_page.h), is where it
// says, is led to once, and has the keys that the page above promises; every leaf is as deep as the
// tree says, and there are as many pages and entries as it says. A bit that flips anywhere in that
// breaks it. What values hold is not looked at, records have checksums; the free list is one that
// LMDB believes, and is.
//
// A whole walk proves that LMDB stays within the file, comes to an end and writes over nothing that
// is in use. A walk in slices proves the same of each page that it comes by, and leaves out what
// takes a look at all of them: counts, and pages that are led to twice.
//
// Bounds: one page per level is in memory. Errors: the first fault. Threads: any, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/function_ref.h"
#include "storage/lmdb_layout.h"
#include "storage/lmdb_page.h"

namespace dhrt::lmdb {

// Reads so many bytes of the file, from `offset` on. False: they cannot be had.
using ReadAt = FunctionRef<bool(std::uint64_t offset, std::span<char> to)>;

struct Fault {
  std::uint64_t page = 0;
  std::string what;
};

// Each page is in use for one thing.
class UsedPages {
 public:
  explicit UsedPages(std::uint64_t last) : pages_(last + 1) {}
  // False if it was in use.
  bool add(std::uint64_t page) {
    if (pages_[page]) return false;
    pages_[page] = true;
    return true;
  }

 private:
  std::vector<bool> pages_;
};

// Of one commit.
struct Snapshot {
  std::size_t page_bytes = 0;
  std::uint64_t last_page = 0;
  std::uint64_t txn = 0;
};

enum class TreeKind : std::uint8_t { free_list, tables, records };
struct Tree {
  TreeKind kind = TreeKind::records;
  std::uint64_t told_by = 0;  // The page that has the tree's record.
  TreeHead head{};
};

class TreeWalk {
 public:
  TreeWalk(ReadAt read, const Snapshot& snapshot, const Tree& tree)
      : read_(read), snapshot_(snapshot), tree_(tree) {}

  // All of it. Pages, and those that the free list names, join `used`.
  std::optional<Fault> all(UsedPages& used);
  // About so many leaf pages, those from the key on (empty: from the first); the key is then where
  // to go on. False at the end.
  struct Slice {
    bool more = false;
    std::uint64_t pages = 0;
  };
  std::optional<Fault> some(std::string& from, std::size_t leaves_max, Slice& slice);

  // Of a tree of tables, those that were come by.
  const std::vector<Tree>& tables() const { return tables_; }
  // Of the free list, the last transaction that was come by.
  std::uint64_t last_freed() const { return last_freed_; }

 private:
  struct Level {
    std::uint64_t number = 0;
    std::string page;
    std::size_t next = 0;  // Of a branch: which child.
    Bytes lower;           // What keys may be, from here on; empty: the least.
    Bytes upper;           // And below; empty: any.
  };

  // These are false after a fault.
  bool tree_is_sound();
  bool begin(Bytes from);
  bool descend(Bytes from);
  bool enter(std::uint64_t number, Bytes lower, Bytes upper);
  bool keys_are_in_order(const Level& level, PageKind kind);
  bool visit_leaf();
  bool visit(const Node& node);
  bool visit_overflow(const Node& node);
  bool visit_list(const Node& node, std::uint64_t txn);
  bool use(std::uint64_t page, std::uint64_t pages);
  bool counts_agree();

  bool advance();  // To the next leaf; false at the end as well.
  Level& top() { return levels_[depth_ - 1]; }
  // The page that the walk is on: what leads there before the first one.
  std::uint64_t page() const { return depth_ == 0 ? tree_.told_by : levels_[depth_ - 1].number; }
  PageKind kind_of_top() const;
  bool before(Bytes left, Bytes right) const;
  bool fail_at(std::uint64_t page, std::string what);

  ReadAt read_;
  const Snapshot snapshot_;
  const Tree tree_;
  UsedPages* used_ = nullptr;
  std::vector<Level> levels_;  // As many as the tree is deep.
  std::size_t depth_ = 0;      // Of those, how many the walk is in.
  std::uint64_t branch_pages_ = 0;
  std::uint64_t leaf_pages_ = 0;
  std::uint64_t overflow_pages_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t last_freed_ = 0;
  std::vector<Tree> tables_;
  std::optional<Fault> fault_;
};

}  // namespace dhrt::lmdb
