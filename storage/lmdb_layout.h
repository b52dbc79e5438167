// The bytes of an LMDB file, as far as we look at them ourselves.
//
// Source: LMDB 0.9.24, mdb.c: MDB_page, MDB_node, MDB_db, MDB_meta and the macros beside them, on a
// 64-bit machine, in its byte order.
//
// file    := page*; pages 0 and 1 are meta pages: a transaction writes the one that the one before
//            it did not
// page    := head (16 bytes), then by its flags:
//   branch, leaf: u16 offset of each node, in key order; free space from `lower` to `upper`; nodes
//   overflow:     a value of `pages` pages, which have one head together
// node    := low u16, high u16, flags u16, key bytes u16, key, data; of an even size
//   branch: low, high and flags are a page number; no data; the key of the first one says nothing
//   leaf:   low and high are the bytes of the value; the data is the value, or with node_is_big the
//           page number of an overflow page
// A tree's record (TreeHead) is in the meta page for the free list and for the table of tables, and
// there as the value of a node with node_is_tree for each table.
// The free list's keys are numbers of transactions (u64); its values are page numbers (u64): how
// many follow, then they, falling.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dhrt::lmdb {

struct PageHead {
  std::uint64_t number;
  std::uint16_t pad;
  std::uint16_t flags;
  std::uint16_t lower;  // With `upper` an u32 of an overflow page: its pages.
  std::uint16_t upper;
};
static_assert(sizeof(PageHead) == 16);

struct NodeHead {
  std::uint16_t low;
  std::uint16_t high;
  std::uint16_t flags;
  std::uint16_t key_bytes;
};
static_assert(sizeof(NodeHead) == 8);

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

inline constexpr std::uint32_t magic = 0xBEEFC0DE;
inline constexpr std::uint32_t data_version = 1;
inline constexpr std::uint64_t no_page = ~std::uint64_t{0};
inline constexpr std::uint64_t meta_pages = 2;
inline constexpr std::size_t page_bytes_min = 4096;
inline constexpr std::size_t page_bytes_max = std::size_t{32} << 10;
inline constexpr std::uint16_t page_is_branch = 0x01;
inline constexpr std::uint16_t page_is_leaf = 0x02;
inline constexpr std::uint16_t page_is_overflow = 0x04;
inline constexpr std::uint16_t page_is_meta = 0x08;
inline constexpr std::uint16_t node_is_big = 0x01;
inline constexpr std::uint16_t node_is_tree = 0x02;
inline constexpr std::uint16_t tree_flags = 0x7f;  // The others are of the environment.
inline constexpr std::uint16_t integer_keys = 0x08;
inline constexpr std::uint16_t depth_max = 32;
inline constexpr std::size_t key_bytes_max = 511;

}  // namespace dhrt::lmdb
