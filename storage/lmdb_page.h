// One branch or leaf page of an LMDB tree (storage/lmdb_layout.h): whether it is whole, and its
// nodes.
//
// Intuition: LMDB follows every offset and size on a page without a look. What it wrote itself lies
// without a gap: nodes fill the page from the end of its free space on, each where one offset says.
// That is what is checked, and then nothing on the page leads out of it.
//
// Errors: what is wrong, in words; any bytes may come. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "storage/base/bytes.h"

namespace dhrt::lmdb {

enum class PageKind : std::uint8_t { branch, leaf };

// Null: nothing is wrong. `page`: all of its bytes, of a size that LMDB knows.
const char* fault_of_page(Bytes page, std::uint64_t number, PageKind kind);

// Of a page without a fault; views into it.
std::size_t node_count(Bytes page);
struct Node {
  Bytes key;
  std::uint16_t flags = 0;        // Of a leaf's.
  std::uint64_t child = 0;        // Of a branch's.
  std::uint32_t value_bytes = 0;  // Of a leaf's.
  Bytes data;                     // Of a leaf's: the value, or where it is.
};
Node node_at(Bytes page, std::size_t index, PageKind kind);
// The same, in a hurry.
Bytes node_key(Bytes page, std::size_t index);

}  // namespace dhrt::lmdb
