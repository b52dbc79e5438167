// Pages of `scan`, as the program's own commands read them.
//
// Errors: corrupt: the node answers in a form that is none of scan's; the rest as Client::call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/cli_client.h"
#include "node/dump_line.h"

namespace dhrt {

// A page of `scan --full`: [next, [key, value, deadline, type, ...]].
struct FullPage {
  std::string next;  // Where to go on; empty: there is no more.
  std::vector<DumpEntry> entries;
};
// A refusal of the node is an error with its words: not_found.
Result<FullPage> read_full_page(Client& client, const std::string& collection,
                                const std::string& from, std::size_t limit, Duration timeout);

// A collection as `collections` lists it.
struct ListedCollection {
  std::string name;
  std::uint64_t keys = 0;
};
Result<std::vector<ListedCollection>> read_collections(Client& client, Duration timeout);

}  // namespace dhrt
