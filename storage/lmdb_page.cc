#include "storage/lmdb_page.h"

#include <array>
#include <cstring>

#include "storage/lmdb_layout.h"

namespace dhrt::lmdb {

namespace {

template <typename T>
T load(Bytes page, std::size_t offset) {
  T value{};
  std::memcpy(&value, page.data() + offset, sizeof value);
  return value;
}

std::size_t node_offset(Bytes page, std::size_t index) {
  return load<std::uint16_t>(page, sizeof(PageHead) + index * sizeof(std::uint16_t));
}

std::uint32_t value_bytes(const NodeHead& node) {
  return node.low | static_cast<std::uint32_t>(node.high) << 16;
}

std::size_t data_bytes(const NodeHead& node, PageKind kind) {
  if (kind == PageKind::branch) return 0;
  return (node.flags & node_is_big) != 0 ? sizeof(std::uint64_t) : value_bytes(node);
}

// Where nodes begin, a bit for each two bytes of the page.
class Beginnings {
 public:
  explicit Beginnings(std::size_t page_bytes) {
    std::memset(words_.data(), 0, page_bytes / (2 * 8));
  }
  // False if it was known.
  bool add(std::size_t offset) {
    std::uint64_t& word = words_[offset / 128];
    const std::uint64_t bit = std::uint64_t{1} << (offset / 2 % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
  }
  bool has(std::size_t offset) const {
    return (words_[offset / 128] >> (offset / 2 % 64) & 1) != 0;
  }

 private:
  std::array<std::uint64_t, page_bytes_max / 128> words_;  // As many as the page takes are used.
};

const char* fault_of_nodes(Bytes page, const PageHead& head, PageKind kind) {
  Beginnings beginnings(page.size());
  const std::size_t count = node_count(page);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t offset = node_offset(page, i);
    if (offset < head.upper || offset >= page.size() || offset % 2 != 0)
      return "it leads to an entry that is not on it";
    if (!beginnings.add(offset)) return "two of its entries are in one place";
  }
  std::size_t visited = 0;
  for (std::size_t at = head.upper; at < page.size(); ++visited) {
    if (!beginnings.has(at)) return "its entries do not fill it";
    if (page.size() - at < sizeof(NodeHead)) return "its last entry is cut off";
    const auto node = load<NodeHead>(page, at);
    const std::size_t bytes = sizeof node + node.key_bytes + data_bytes(node, kind);
    at += bytes + bytes % 2;
    if (at > page.size()) return "its last entry is longer than it";
  }
  return visited == count ? nullptr : "its entries overlap";
}

}  // namespace

const char* fault_of_page(Bytes page, std::uint64_t number, PageKind kind) {
  const auto head = load<PageHead>(page, 0);
  if (head.number != number) return "it has the number of another page";
  const bool is_leaf = kind == PageKind::leaf;
  if (head.flags != (is_leaf ? page_is_leaf : page_is_branch))
    return is_leaf ? "it is no leaf page" : "it is no branch page";
  if (head.lower <= sizeof head || head.lower % 2 != 0)
    return "it says that it has no entries, or half ones";
  if (head.lower > head.upper || head.upper > page.size() || head.upper % 2 != 0)
    return "its free space is not on it";
  return fault_of_nodes(page, head, kind);
}

std::size_t node_count(Bytes page) {
  return (load<PageHead>(page, 0).lower - sizeof(PageHead)) / sizeof(std::uint16_t);
}

Bytes node_key(Bytes page, std::size_t index) {
  const std::size_t offset = node_offset(page, index);
  return page.substr(offset + sizeof(NodeHead), load<NodeHead>(page, offset).key_bytes);
}

Node node_at(Bytes page, std::size_t index, PageKind kind) {
  const std::size_t offset = node_offset(page, index);
  const auto head = load<NodeHead>(page, offset);
  Node node{.key = page.substr(offset + sizeof head, head.key_bytes)};
  if (kind == PageKind::branch) {
    node.child = value_bytes(head) | static_cast<std::uint64_t>(head.flags) << 32;
    return node;
  }
  node.flags = head.flags;
  node.value_bytes = value_bytes(head);
  node.data = page.substr(offset + sizeof head + head.key_bytes, data_bytes(head, kind));
  return node;
}

}  // namespace dhrt::lmdb
