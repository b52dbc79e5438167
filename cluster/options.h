// Timers and limits of the cluster core, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "storage/base/time.h"

namespace dhrt {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;

// Mistakes on purpose about read and write levels, see ClusterOptions.
enum class LevelMutant : std::uint8_t {
  none,
  count_unacknowledged,  // A linked node counts before it has said that it has a write durably.
  majority_of_reachable,
  joining_votes,
  no_write_back,
  all_let_through,      // A voter lets everybody through who asks, and forgets whom before.
  no_pull_to_vote,      // A member votes before it has pulled what was written meanwhile.
  no_layout_stamp,      // Answers count, although whoever gave them knows of later voters.
  answer_unnoted,       // A voter answers before what it answers is on its disk.
  nothing_known,        // Who shows nothing does not say what it has seen.
  no_pull_to_retire,    // Nobody pulls what was written with the one who votes no more.
  no_pull_to_complete,  // Nor for who was let in, and is away.
  next_not_counted,     // A write need not be with a majority of those who vote next.
};

struct ClusterOptions {
  // One member is probed per interval (SWIM's protocol period).
  Duration probe_interval = 500ms;
  // A node that has just started makes its links first; twice dial_patience.
  Duration first_probe_delay = 2s;
  // How long a direct probe may take at least before others are asked to try; and how long those
  // wait before they say that they hear nothing either. Twice this is below the interval.
  Duration probe_timeout = 200ms;
  // A far peer has so many of its usual round trips to answer, up to half an interval.
  int probe_round_trips = 4;
  // Members who try when we cannot reach one ourselves.
  std::size_t indirect_probes = 3;
  // A suspect has multiplier * max(1, log10(members)) intervals to defend itself if others have
  // found it silent as well, and so many times more if only one says so (Lifeguard, section IV.B).
  unsigned suspicion_multiplier = 4;
  unsigned unconfirmed_multiplier = 4;
  // Independent accusers beside the first that it takes for the short time. Smaller clusters than
  // members_confirming_min have too few for it, and always take the short time.
  std::size_t confirmations = 2;
  std::size_t members_confirming_min = 4;
  // Signs that it is ourselves who are slow, one counted off by each probe that is answered; each
  // makes our probes so much more patient (Lifeguard, section IV.A).
  unsigned slowness_max = 8;
  // Between two ticks; a loop that was busy for longer hears answers late.
  Duration loop_lag_max = 200ms;
  // Who hears of a change at the table of members at once, and passes it on once. Of n members one
  // is left out of it with probability n * e^-32; pings and tables bring it the change later.
  std::size_t news_fanout = 32;
  // Whole member tables are exchanged with a random peer this often, which heals what gossip lost.
  Duration table_exchange_interval = 30s;
  // Reconnects back off between these.
  Duration redial_min = 500ms;
  Duration redial_max = 30s;
  // The node with the lower id dials; the other waits this long for it.
  Duration dial_patience = 1s;
  // Different vectors are normal for as long as writes are under way; longer means some were lost.
  Duration mismatch_patience = 1s;
  // While parts of a large message come from a peer its writes are under way. For this long at
  // most, as one that was lost meanwhile is held by fewer nodes: 16 MiB, the most that one
  // transaction sends in a message, come in at 3 MB/s.
  Duration mismatch_coming_max = 5s;
  // A pull that hears nothing for this long is given up and begun anew, perhaps elsewhere.
  Duration pull_timeout = 10s;
  // Parts of a large message are no silence, but an answer must be whole after this long, or a peer
  // that sends parts for ever keeps us from all others. 16 MiB come in at 5 KB/s, 512 MiB at 150.
  Duration pull_answer_max = 3600s;
  // After a pull that failed the same peer is left alone for this long.
  Duration pull_retry_after = 1s;
  // Bytes of records asked for in one slice. It holds up the donor's clients for as long as it is
  // read, and one is on its way at a time: far away they must be larger.
  std::uint32_t pull_slice_bytes = std::uint32_t{128} << 10;
  // Bytes of records that a pull or a comparison has given to the store and that are not durable
  // yet: the next slice is asked for when there are fewer. What a quick disk takes within a few
  // syncs, and an eighth at most of what the store may hold beside its files.
  std::uint64_t unapplied_bytes_max = std::uint64_t{16} << 20;
  // Walks over what changed during a pull, each much shorter than the one before; a donor that
  // writes faster than it sends never gets there.
  unsigned pull_rounds_max = 32;
  // While something cannot be compared, all that could not is looked at again ever more rarely,
  // down to this: it costs a listing of keys each time.
  Duration comparison_retry_max = 60s;
  // Keys and bytes compared at once with a peer; as with slices.
  std::size_t compared_keys = 4096;
  std::uint32_t compared_bytes = std::uint32_t{128} << 10;
  // Every so often one collection is compared with one peer, though nothing seems to be wrong: it
  // finds what bit rot, mistakes and a forgotten delete beyond a third node have left.
  Duration audit_interval = 600s;
  // What is durable is told this often while it changes, and tombstones are dropped accordingly.
  Duration report_interval = 1s;
  // Nobody is healthy: who has exchanged everything with everyone reachable declares itself.
  Duration self_attest_after = 3s;
  // While one of two nodes is not synced they pull, and say so, again after this long.
  Duration claim_interval = 5s;
  // A read that other nodes must answer.
  Duration read_timeout = 2s;
  // A write of a level above one: other nodes that must have it durably.
  Duration write_timeout = 5s;
  // A leaving node waits this long for another one to have its writes.
  Duration leave_timeout = 10s;
  // Who was dead or gone for so long is given up: tombstones need not wait for it, and when it
  // comes back all that it has is compared. 0: never.
  Duration evict_after = 24h;
  // A delete is kept so long after every node had it: who watches and comes back meanwhile is told
  // of it, and need not begin anew. 0: it may go at once.
  Duration remember_deletes{};
  // Requests that one peer may have waiting here; more than our own nodes ever send.
  std::size_t walks_per_connection_max = 4;
  // Reads under way for clients; beyond, a miss is answered from what is here.
  std::size_t fanout_reads_max = 10000;
  // A node whose wall clock is further away than this from most of the others' takes no writes.
  Duration max_clock_offset = 500ms;
  // What a member's clock showed counts for so long, and the time of a round of probes. Clocks that
  // nobody sets drift by milliseconds meanwhile.
  Duration clock_age_max = 60s;
  // Reads of levels above fanout that are under way; beyond, they are answered as if time was up.
  std::size_t quorum_reads_max = 10000;
  // Values that wait to be shown to peers, because they are not durable yet; those beyond are read
  // again when they are.
  std::size_t durable_reads_bytes_max = std::size_t{64} << 20;
  // Keys whose record was stored to repair a read, and is not in a context yet.
  std::size_t stored_dots_max = 4096;
  // Members this version is built and tested for.
  std::size_t members_max = 128;
  // Voters that may be retired in the life of a cluster: each is named for ever, in what nodes tell
  // each other of the layout (8 KiB at most).
  std::size_t retired_max = 1024;

  // Timers for networks of three sizes: within a machine or a rack, within a site (the defaults
  // above), and between sites.
  static ClusterOptions fast();
  static ClusterOptions lan() { return {}; }
  static ClusterOptions wan();

  // Mistakes on purpose, which only the simulator makes to prove that it notices.
  bool mutate_pull_uncompared = false;  // A pull is thought to be enough between any two.
  bool mutate_join_uncompared = false;  // A number is joined with one of who was not compared.
  bool mutate_forget_early = false;     // Reports count before what they tell of is here.
  bool mutate_forget_absent = false;    // Who is not linked need not have seen a delete.
  bool mutate_merge_early = false;      // The peer's vector is taken before its last record is in.
  bool mutate_no_fence = false;         // A wrong clock is no reason to refuse writes.
  LevelMutant level_mutant = LevelMutant::none;
};

}  // namespace dhrt
