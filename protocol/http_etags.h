// Lists of entity tags, as If-Match and If-None-Match have them (RFC 9110, sections 8.8.3
// and 13.1):
//
//   field := "*" | tag ("," tag)*      tag := ["W/"] '"' bytes '"'      spaces around tags
//
// Total: anything else is not a list. Borrows from the input. Threads: any.
#pragma once

#include <optional>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt::http {

struct Etags {
  struct Tag {
    Bytes text;  // Without its quotes.
    bool weak = false;
  };
  bool any = false;  // "*"
  std::vector<Tag> tags;

  // Weak tags are equal to nothing: for writes.
  bool matches_strongly(Bytes tag) const;
  bool matches_weakly(Bytes tag) const;
};

std::optional<Etags> parse_etags(Bytes field);

}  // namespace dhrt::http
