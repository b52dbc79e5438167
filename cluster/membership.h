// The table of members and the rumours about them.
//
// Intuition: every node holds the same table, because records merge (member.h) and every change
// is told to everybody: at once by whoever it is news to, to all connected nodes or many of them
// (news_fanout), and again with the next pings, a few times, in case that was lost.
//
// A rumour that we are suspect or dead is answered with a higher incarnation, which only we may
// raise; nobody else ever speaks for a member except to accuse it.
// Bounds: one record and one counter per member; who lets strangers in bounds the members.
// Errors: none; a record that contradicts itself is taken without what cannot be true.
// Threads: loop thread only.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "cluster/member.h"
#include "cluster/message.h"

namespace dhrt {

// Far above every honest one (milliseconds since 1970, raised by one now and then); above it
// there would be no room left for the accused to answer.
inline constexpr std::uint64_t incarnation_max = std::uint64_t{1} << 62;

class Membership {
 public:
  explicit Membership(Member self);

  const Member& self() const { return members_.at(self_); }
  NodeId self_id() const { return self_; }
  // Null if the node was never heard of. Else it stays where it is: no member is ever removed.
  const Member* find(NodeId node) const;
  const std::map<NodeId, Member>& members() const { return members_; }
  MemberState state(NodeId node) const;
  // Members that count: neither left nor evicted, ourselves included.
  std::size_t active_count() const;
  // Counts all changes: while it is the same, so is the table.
  std::uint64_t changes() const { return changes_; }

  // Takes in a record from anybody. True if the table changed.
  bool apply(const Member& record);
  void suspect(NodeId node);
  void declare_dead(NodeId node);
  void attest(NodeId node, const Attestation& attestation);
  void mark_left(NodeId node, std::uint64_t incarnation);
  // Gives up a member that is dead or has left: nobody waits for it any more before a delete is
  // forgotten. Others stay what they are.
  void evict(NodeId node);
  // Our own address became known or changed.
  void set_own_address(const std::string& address);
  // As it was when the node last ran: what others said may be out of date, but whom to call is not.
  void restore(const std::vector<Member>& members);
  void leave();

  // Up to updates_per_message_max recent changes for a message to `to`; what is held against
  // `to` itself always goes along, so that it can answer.
  std::vector<Member> updates_for(NodeId to);
  // Members whose record changed since the last call.
  std::set<NodeId> take_changed();
  // Somebody has taken us for a suspect or dead since the last call.
  bool take_accused() { return std::exchange(accused_, false); }

 private:
  bool apply_to_self(const Member& record);
  void changed(NodeId node);

  NodeId self_;
  std::map<NodeId, Member> members_;
  std::map<NodeId, unsigned> rumours_;  // Member -> times its record is still to be passed on.
  std::set<NodeId> changed_;
  std::uint64_t changes_ = 0;
  mutable std::optional<std::size_t> active_count_;  // Counted when it is asked for.
  bool accused_ = false;
};

}  // namespace dhrt
