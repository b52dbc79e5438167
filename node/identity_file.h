// Who a node is, kept in its data directory: <data-dir>/identity.json.
//
// Intuition: the file must be on the disk before anything is sent under what it says, for an
// epoch or an incarnation used twice would let two writes share a dot. So it is written anew
// beside the old one, synced, and put in its place.
//
// Units: incarnation is in wall milliseconds, an epoch in seconds since 1970, both only raised.
// Errors: corrupt: the file does not read; io: the system refused. Threads: any, one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "storage/base/result.h"

namespace dhrt {

// What --replace said, and what became of it.
struct Replacement {
  std::string node;  // As it was called; empty: nobody is to be replaced.
  NodeId id = 0;     // The one that was given up; 0: nobody yet.
  bool done = false;

  bool operator==(const Replacement&) const = default;
};

struct NodeIdentity {
  NodeId node_id = 0;
  std::uint32_t epoch = 0;
  std::uint64_t incarnation = 0;
  // No version given by earlier starts is above it; the next start begins above. 0: none was
  // reserved, what is on the disk says enough.
  std::uint64_t hlc_ceiling = 0;
  Belonging belonging;           // None: never was a member of a cluster.
  std::vector<Member> members;   // Whom the node knew when it ran last.
  std::vector<NodeId> compared;  // Of these, who need not be compared again: see Persist.
  LayoutNotes layout;            // Who votes.
  Replacement replacement;
};

inline constexpr std::size_t identity_bytes_max = std::size_t{4} << 20;  // Members are few.

std::string encode_identity(const NodeIdentity& identity);
Result<NodeIdentity> decode_identity(Bytes json);

// Absent: there is no such file yet.
Result<std::optional<NodeIdentity>> read_identity(const std::string& path);
// Returns when the file and its name are on the disk.
Status write_identity(const std::string& path, const NodeIdentity& identity);

// The identity of the start that is about to happen: `stored` with a higher epoch and
// incarnation, or a new node with `new_id`.
NodeIdentity next_start(const std::optional<NodeIdentity>& stored, NodeId new_id,
                        WallMilliseconds now);

}  // namespace dhrt
