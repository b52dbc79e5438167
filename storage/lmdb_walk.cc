#include "storage/lmdb_walk.h"

#include <array>
#include <cstring>
#include <utility>

namespace dhrt::lmdb {

namespace {

std::uint64_t number_at(Bytes bytes, std::size_t index) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data() + index * sizeof number, sizeof number);
  return number;
}

}  // namespace

bool TreeWalk::fail_at(std::uint64_t page, std::string what) {
  fault_ = Fault{page, std::move(what)};
  return false;
}

PageKind TreeWalk::kind_of_top() const {
  return depth_ == levels_.size() ? PageKind::leaf : PageKind::branch;
}

bool TreeWalk::before(Bytes left, Bytes right) const {
  if (tree_.kind == TreeKind::free_list) return number_at(left, 0) < number_at(right, 0);
  return left < right;
}

bool TreeWalk::begin(Bytes from) {
  levels_.assign(tree_.head.depth, Level{});
  return enter(tree_.head.root, {}, {}) && descend(from);
}

std::optional<Fault> TreeWalk::all(UsedPages& used) {
  used_ = &used;
  if (!tree_is_sound() || tree_.head.root == no_page) return fault_;
  for (bool more = begin({}); more; more = advance()) {
    if (!visit_leaf()) return fault_;
  }
  if (!fault_) counts_agree();
  return fault_;
}

std::optional<Fault> TreeWalk::some(std::string& from, std::size_t leaves_max, Slice& slice) {
  if (!tree_is_sound() || tree_.head.root == no_page) return fault_;
  std::size_t leaves = 0;
  for (bool more = begin(from); more; more = advance()) {
    if (!visit_leaf()) return fault_;
    if (++leaves < leaves_max) continue;
    slice.more = !top().upper.empty();
    from = std::string(top().upper);
    break;
  }
  slice.pages += branch_pages_ + leaf_pages_ + overflow_pages_;
  return fault_;
}

bool TreeWalk::tree_is_sound() {
  const TreeHead& head = tree_.head;
  const bool is_list = tree_.kind == TreeKind::free_list;
  const bool flags_fit = is_list ? (head.flags & tree_flags) == integer_keys : head.flags == 0;
  if (!flags_fit) return fail_at(tree_.told_by, "it says that a tree has keys of another kind");
  if (head.root == no_page) {
    const bool empty = head.depth == 0 && head.entries == 0;
    return empty || fail_at(tree_.told_by, "it says that a tree is empty, and is not");
  }
  if (head.root < meta_pages || head.root > snapshot_.last_page || head.depth == 0 ||
      head.depth > depth_max)
    return fail_at(tree_.told_by, "it leads to a tree that cannot be there");
  return true;
}

// Down to a leaf: the one that has `from`, or the next one.
bool TreeWalk::descend(Bytes from) {
  while (kind_of_top() == PageKind::branch) {
    Level& level = top();
    const std::size_t count = node_count(level.page);
    while (!from.empty() && level.next + 1 < count &&
           !before(from, node_key(level.page, level.next + 1)))
      ++level.next;
    const std::size_t child = level.next++;
    const Bytes lower = child == 0 ? level.lower : node_key(level.page, child);
    const Bytes upper = child + 1 == count ? level.upper : node_key(level.page, child + 1);
    if (!enter(node_at(level.page, child, PageKind::branch).child, lower, upper)) return false;
  }
  return true;
}

bool TreeWalk::advance() {
  --depth_;
  while (depth_ > 0 && top().next == node_count(top().page))
    --depth_;
  return depth_ > 0 && descend({});
}

bool TreeWalk::enter(std::uint64_t number, Bytes lower, Bytes upper) {
  if (number < meta_pages || number > snapshot_.last_page)
    return fail_at(page(), "it leads to page " + std::to_string(number) + ", which is not in use");
  Level& level = levels_[depth_++];
  level.number = number;
  level.page.resize(snapshot_.page_bytes);
  level.next = 0;
  level.lower = lower;
  level.upper = upper;
  if (!read_(number * snapshot_.page_bytes, level.page))
    return fail_at(number, "it cannot be read");
  const PageKind kind = kind_of_top();
  if (const char* what = fault_of_page(level.page, number, kind)) return fail_at(number, what);
  ++(kind == PageKind::leaf ? leaf_pages_ : branch_pages_);
  return use(number, 1) && keys_are_in_order(level, kind);
}

bool TreeWalk::use(std::uint64_t page, std::uint64_t pages) {
  if (used_ == nullptr) return true;
  for (std::uint64_t i = page; i < page + pages; ++i) {
    if (!used_->add(i)) return fail_at(i, "it is used for two things");
  }
  return true;
}

bool TreeWalk::keys_are_in_order(const Level& level, PageKind kind) {
  const std::size_t count = node_count(level.page);
  const bool is_branch = kind == PageKind::branch;
  // LMDB goes on without a branch of one child while it changes the free list.
  if (is_branch && count < 2 && tree_.kind != TreeKind::free_list)
    return fail_at(page(), "it is a branch of one page");
  const bool is_list = tree_.kind == TreeKind::free_list;
  Bytes last = level.lower;
  bool may_repeat = !is_branch;  // What the page above says is the first key of a leaf, or less.
  for (std::size_t i = is_branch ? 1 : 0; i < count; ++i) {
    const Bytes key = node_key(level.page, i);
    const bool fits =
        is_list ? key.size() == sizeof(std::uint64_t) : !key.empty() && key.size() <= key_bytes_max;
    if (!fits) return fail_at(page(), "it has a key of " + std::to_string(key.size()) + " bytes");
    if (!last.empty() && !before(last, key) && (!may_repeat || before(key, last)))
      return fail_at(page(), "its keys are not in order");
    last = key;
    may_repeat = false;
  }
  if (!level.upper.empty() && !last.empty() && !before(last, level.upper))
    return fail_at(page(), "it has keys that belong on another page");
  return true;
}

bool TreeWalk::visit_leaf() {
  const Bytes bytes = top().page;
  const std::size_t count = node_count(bytes);
  entries_ += count;
  for (std::size_t i = 0; i < count; ++i) {
    if (!visit(node_at(bytes, i, PageKind::leaf))) return false;
  }
  return true;
}

bool TreeWalk::visit(const Node& node) {
  if (tree_.kind == TreeKind::tables) {
    Tree table{.kind = TreeKind::records, .told_by = page()};
    if (node.flags != node_is_tree || node.data.size() != sizeof table.head)
      return fail_at(page(), "it has an entry that is no table");
    std::memcpy(&table.head, node.data.data(), sizeof table.head);
    tables_.push_back(table);
    return true;
  }
  if (node.flags != 0 && node.flags != node_is_big)
    return fail_at(page(), "it has an entry of another kind");
  if (node.flags == node_is_big && !visit_overflow(node)) return false;
  if (tree_.kind == TreeKind::records) return true;
  return visit_list(node, number_at(node.key, 0));
}

bool TreeWalk::visit_overflow(const Node& node) {
  const std::uint64_t number = number_at(node.data, 0);
  if (number < meta_pages || number > snapshot_.last_page)
    return fail_at(page(), "it leads to page " + std::to_string(number) + ", which is not in use");
  PageHead head{};
  std::array<char, sizeof head> bytes{};
  if (!read_(number * snapshot_.page_bytes, bytes)) return fail_at(number, "it cannot be read");
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.number != number) return fail_at(number, "it has the number of another page");
  if (head.flags != page_is_overflow) return fail_at(number, "it is no overflow page");
  const std::uint64_t pages = head.lower | static_cast<std::uint64_t>(head.upper) << 16;
  const std::uint64_t needed =
      (sizeof head + node.value_bytes + snapshot_.page_bytes - 1) / snapshot_.page_bytes;
  if (pages < needed || pages > snapshot_.last_page - number + 1)
    return fail_at(number, "it has " + std::to_string(pages) + " pages for a value of " +
                               std::to_string(node.value_bytes) + " bytes");
  overflow_pages_ += pages;
  return use(number, pages);
}

bool TreeWalk::visit_list(const Node& node, std::uint64_t txn) {
  if (txn == 0 || txn > snapshot_.txn) return fail_at(page(), "it has free pages of the future");
  last_freed_ = txn;
  std::string list(node.data);
  if (node.flags == node_is_big) {
    list.resize(node.value_bytes);
    const std::uint64_t offset = number_at(node.data, 0) * snapshot_.page_bytes + sizeof(PageHead);
    if (!read_(offset, list)) return fail_at(page(), "its list of free pages cannot be read");
  }
  const std::size_t numbers = list.size() / sizeof(std::uint64_t);
  // What LMDB reserved and did not need stays behind the list.
  const std::uint64_t count = numbers == 0 ? 0 : number_at(list, 0);
  if (numbers == 0 || list.size() % sizeof(std::uint64_t) != 0 || count >= numbers)
    return fail_at(page(), "its list of free pages is longer than it");
  std::uint64_t above = snapshot_.last_page + 1;
  for (std::size_t i = 1; i <= count; ++i) {
    const std::uint64_t number = number_at(list, i);
    if (number < meta_pages || number >= above)
      return fail_at(page(), "its list of free pages is not in order");
    if (!use(number, 1)) return false;
    above = number;
  }
  return true;
}

bool TreeWalk::counts_agree() {
  const TreeHead& head = tree_.head;
  if (branch_pages_ == head.branch_pages && leaf_pages_ == head.leaf_pages &&
      overflow_pages_ == head.overflow_pages && entries_ == head.entries)
    return true;
  return fail_at(tree_.told_by, "a tree has not as many pages and entries as it says");
}

}  // namespace dhrt::lmdb
