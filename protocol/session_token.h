// What a client of several nodes has written and read, as a token that it carries from one request
// to the next: a node answers when it has seen as much itself.
//
// Intuition: the writes of an origin are numbered, so that "everything up to here" is one number
// per origin and collection. What was read is joined with what was written; whoever has seen that
// far shows the client's own writes, and nothing older than what it was shown (Terry et al.,
// Session Guarantees for Weakly Consistent Replicated Data, PDIS 1994).
//
// token := base64 (RFC 4648, section 4) of: format u8 (= 1), checksum u32 of what follows,
//          varint collections, collection*
// collection := varint length, name, varint generation, varint origins, origin*
// origin := node u64, varint epoch, varint loop, varint sequence
//
// Bounds: session_origins_max. Threads: a value; not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "storage/base/result.h"
#include "storage/record.h"

namespace dhrt {

// A token that grows without bound would not fit into the head of a request: 512 origins of one
// collection are some 11 KiB. An origin is an event loop of a start of a node; it counts for each
// collection.
inline constexpr std::size_t session_origins_max = 512;

class SessionToken {
 public:
  using Tips = std::map<Origin, std::uint64_t>;  // The highest sequence seen of each.

  // invalid_argument: it is none, or has more origins than session_origins_max. Empty: a session
  // that begins.
  static Result<SessionToken> parse(Bytes text);
  std::string text() const;

  // Of a generation that a later one has replaced nothing is kept.
  void saw(const CollectionRef& collection, const Dot& dot);
  const std::map<CollectionRef, Tips>& seen() const { return seen_; }

  bool operator==(const SessionToken&) const = default;

 private:
  std::map<CollectionRef, Tips> seen_;
};

}  // namespace dhrt
