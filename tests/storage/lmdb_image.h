// An LMDB file as bytes, for tests that change what its pages say.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/lmdb_layout.h"
#include "storage/lmdb_page.h"
#include "storage/lmdb_pages.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {

class LmdbImage {
 public:
  static constexpr std::size_t page_bytes = 4096;

  explicit LmdbImage(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes = {std::istreambuf_iterator<char>(file), {}};
    REQUIRE(bytes.size() >= 2 * page_bytes);
  }

  void save(const std::string& path) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  // "page 3: it is no leaf page", or nothing.
  std::string fault() const {
    const auto read = [this](std::uint64_t offset, std::span<char> to) {
      if (offset > bytes.size() || to.size() > bytes.size() - offset) return false;
      std::memcpy(to.data(), bytes.data() + offset, to.size());
      return true;
    };
    lmdb::Snapshot ignored;
    const auto fault = lmdb::fault_of_file(read, bytes.size(), ignored);
    return fault ? "page " + std::to_string(fault->page) + ": " + fault->what : "";
  }

  template <typename T>
  T get(std::size_t offset) const {
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  template <typename T>
  void set(std::size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }

  Bytes page(std::uint64_t number) const {
    return Bytes(bytes).substr(number * page_bytes, page_bytes);
  }
  std::size_t offset_of(std::uint64_t number) const { return number * page_bytes; }
  std::size_t offset_of(Bytes part) const {
    return static_cast<std::size_t>(part.data() - bytes.data());
  }
  // Where the node begins.
  std::size_t node_offset(std::uint64_t number, std::size_t index) const {
    return offset_of(lmdb::node_key(page(number), index)) - sizeof(lmdb::NodeHead);
  }

  lmdb::MetaPage newest_meta() const {
    const auto first = get<lmdb::MetaPage>(0);
    const auto second = get<lmdb::MetaPage>(page_bytes);
    return first.txn > second.txn ? first : second;
  }
  // The node of the table of tables.
  lmdb::Node table(Bytes name) const {
    const Bytes root = page(newest_meta().main.root);
    for (std::size_t i = 0; i < lmdb::node_count(root); ++i) {
      const lmdb::Node node = lmdb::node_at(root, i, lmdb::PageKind::leaf);
      if (node.key == name) return node;
    }
    FAIL("no such table");
    return {};
  }
  lmdb::TreeHead tree(Bytes name) const { return get<lmdb::TreeHead>(offset_of(table(name).data)); }
  std::uint64_t child(std::uint64_t branch, std::size_t index) const {
    return lmdb::node_at(page(branch), index, lmdb::PageKind::branch).child;
  }

  // Pages that the newest commit leads to, those of big values without their later ones.
  std::vector<std::uint64_t> pages_in_use() const {
    const lmdb::MetaPage meta = newest_meta();
    std::vector<std::uint64_t> found{0, 1};
    add_tree(meta.free, found);
    add_tree(meta.main, found);
    for (const Bytes name : {"meta", "data", "log", "expiry", "recent"})
      add_tree(tree(name), found);
    return found;
  }

  std::string bytes;

 private:
  void add_tree(const lmdb::TreeHead& tree, std::vector<std::uint64_t>& found) const {
    std::vector<std::pair<std::uint64_t, int>> waiting;
    if (tree.root != lmdb::no_page) waiting.emplace_back(tree.root, tree.depth);
    while (!waiting.empty()) {
      const auto [number, depth] = waiting.back();
      waiting.pop_back();
      found.push_back(number);
      const auto kind = depth > 1 ? lmdb::PageKind::branch : lmdb::PageKind::leaf;
      for (std::size_t i = 0; i < lmdb::node_count(page(number)); ++i) {
        const lmdb::Node node = lmdb::node_at(page(number), i, kind);
        if (depth > 1) waiting.emplace_back(node.child, depth - 1);
        if (depth == 1 && node.flags == lmdb::node_is_big)
          found.push_back(get<std::uint64_t>(offset_of(node.data)));
      }
    }
  }
};

}  // namespace dhrt::test
