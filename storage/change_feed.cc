#include "storage/change_feed.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace dhrt {

namespace {

std::size_t intervals_of(const Context& context) {
  std::size_t count = 0;
  for (const auto& [origin, set] : context.origins())
    count += set.intervals().size();
  return count;
}

FeedEvent event_of(FeedEvent::Kind kind, KeyedRecord& entry) {
  FeedEvent event{.kind = kind, .key = std::move(entry.key), .record = {}};
  if (kind == FeedEvent::Kind::set)
    event.record = std::move(entry.record);
  else
    event.record = tombstone_of(entry.record);
  return event;
}

}  // namespace

Bytes name_of(FeedEvent::Kind kind) {
  switch (kind) {
    case FeedEvent::Kind::set:
      return "set";
    case FeedEvent::Kind::del:
      return "del";
    case FeedEvent::Kind::expire:
      return "expire";
    case FeedEvent::Kind::damaged:
      return "damaged";
    case FeedEvent::Kind::reset:
      return "reset";
  }
  return "";
}

ChangeFeed::ChangeFeed(Options options, Begin begin)
    : options_(std::move(options)), begin_(begin) {}

ChangeFeed::ChangeFeed(Options options, FeedPosition behind, bool rechecks)
    : options_(std::move(options)),
      begin_(Begin::now),
      begun_(true),
      resumed_(true),
      must_recheck_(rechecks),
      position_(std::move(behind)),
      walked_(position_.seen) {}

void ChangeFeed::expired(Bytes key) {
  if (!wants(key)) return;
  if (expired_.size() < options_.expired_max && !must_recheck_) {
    expired_.emplace_back(key);
    return;
  }
  expired_.clear();
  must_recheck_ = true;
}

// Nothing that was told holds any more.
void ChangeFeed::start_over(Collection* collection, FeedStep& step) {
  if (position_.generation != 0) step.events.push_back({.kind = FeedEvent::Kind::reset});
  position_ = {.generation = collection == nullptr ? 0 : collection->ref().generation};
  ++position_number_;
  walked_ = {};
  cleared_ = {};
  cursor_.reset();
  expired_.clear();
  begun_ = true;
  resumed_ = must_recheck_ = rechecks_ = claims_stand_ = false;
  full_ = true;
  settled_ = collection == nullptr;
  step.more = collection != nullptr;
}

Status ChangeFeed::begin_now(Collection& collection, WallMilliseconds now) {
  const std::uint64_t flushed = collection.flushed().hash();
  cleared_ = collection.forgotten();
  cleared_.intersect(collection.durable());
  auto slice = collection.walk(
      {.excluded = collection.durable(), .from = {}, .limits = {.records_max = 1, .bytes_max = 1}});
  if (!slice) return tl::unexpected(slice.error());
  begun_ = settled_ = true;
  position_ = {.generation = collection.ref().generation,
               .flushed = flushed,
               .told_until = now,
               .seen = std::move(slice->durable)};
  ++position_number_;
  walked_ = position_.seen;
  return {};
}

// A key that was written again meanwhile is told by its new dot.
Status ChangeFeed::tell_expired(Collection& collection, WallMilliseconds now, FeedStep& step) {
  for (std::size_t told = 0; !expired_.empty() && told < options_.limits.records_max; ++told) {
    auto held = collection.find(expired_.front());
    if (!held) return tl::unexpected(held.error());
    KeyedRecord entry{std::move(expired_.front()), held->value_or(Record{})};
    expired_.pop_front();
    if (!*held || !visible(entry.record, now))
      step.events.push_back(event_of(FeedEvent::Kind::expire, entry));
  }
  return {};
}

// What only the other node had comes here later, behind what this one tells meanwhile: it must be
// told then, or an older record of its key would be the last word.
bool ChangeFeed::meet(const Context& durable) {
  resumed_ = false;
  Context shared = position_.seen;
  shared.intersect(durable);
  if (shared.empty() && !position_.seen.empty()) return false;
  if (shared != position_.seen) ++position_number_;
  position_.seen = shared;
  walked_ = std::move(shared);
  return true;
}

// What the round has passed already was told then, or missed then.
bool ChangeFeed::may_have_missed(const Context& forgotten, const Context& durable) const {
  if (full_ || forgotten.empty()) return false;
  if (rechecks_) {
    // A deadline leaves a tombstone with a dot that was told.
    Context told = forgotten;
    told.intersect(walked_);
    if (!told.empty()) return true;
  }
  Context missing = forgotten;
  missing.intersect(durable);
  if (walked_.contains(missing) || cleared_.contains(missing)) return false;
  Context known = walked_;
  known.merge(cleared_);
  const Dot from = cursor_.value_or(Dot{});
  for (auto it = missing.origins().lower_bound(from.origin); it != missing.origins().end(); ++it) {
    const auto& [origin, set] = *it;
    const IntervalSet* const of_origin = known.find(origin);
    for (const Interval& interval : set.intervals()) {
      const std::uint64_t first =
          std::max(interval.first, origin == from.origin ? from.sequence : 0);
      if (first > interval.last) continue;
      if (of_origin == nullptr || of_origin->next_absent(first) <= interval.last) return true;
    }
  }
  return false;
}

void ChangeFeed::claim(const Dot& dot) {
  if (claims_stand_ || !position_.seen.add(dot)) return;
  ++position_number_;
}

void ChangeFeed::bound_claims() {
  if (intervals_of(position_.seen) > options_.intervals_max) claims_stand_ = true;
}

// What came in while the round was under way, and what a pull has brought without its dot, is told
// by a later round: until then nothing is claimed for it, and it is not told twice.
void ChangeFeed::tell(KeyedRecord& entry, WallMilliseconds now, FeedStep& step) {
  using Kind = FeedEvent::Kind;
  const Record& record = entry.record;
  if (!round_.contains(record.dot)) return;
  claim(record.dot);
  // A walk shows what a power cut would leave: it may not know of the flush yet.
  const bool is_flushed = flushed_.contains(record.dot);
  const bool is_gone = is_flushed || !visible(record, now);
  // Who knows nothing need not hear what is gone, who rechecks what was told.
  const bool is_known = rechecks_ && walked_.contains(record.dot);
  if (!wants(entry.key) || (is_gone ? full_ : is_known)) return;
  const Kind kind = record.deleted || is_flushed ? Kind::del
                    : is_gone                    ? Kind::expire
                    : record.damaged             ? Kind::damaged
                                                 : Kind::set;
  step.events.push_back(event_of(kind, entry));
}

void ChangeFeed::end_round(bool whole, WallMilliseconds now, FeedStep& step) {
  cursor_.reset();
  walked_.merge(round_);
  full_ = rechecks_ = false;
  settled_ = whole && !must_recheck_ && expired_.empty();
  step.more = !settled_;
  if (!whole) return;
  claims_stand_ = false;
  if (position_.seen != walked_) {
    position_.seen = walked_;
    ++position_number_;
  }
  // Not worth a token of its own.
  if (settled_) position_.told_until = now;
}

// What was written since the round began is of the next one: a walk that looked at it would never
// end while others write more than it takes in one slice.
void ChangeFeed::exclude_later(const Collection& collection, Context& excluded) const {
  constexpr std::uint64_t sequence_max = std::numeric_limits<std::uint64_t>::max() - 1;
  const Context durable = collection.durable();
  for (const auto& [origin, set] : durable.origins()) {
    const IntervalSet* const known = round_.find(origin);
    const std::uint64_t last = known == nullptr ? 0 : known->last();
    excluded.add(origin, {last + 1, sequence_max});
  }
}

Result<FeedStep> ChangeFeed::step(Collection* collection, WallMilliseconds now) {
  FeedStep step;
  const std::uint32_t generation = collection == nullptr ? 0 : collection->ref().generation;
  const bool is_first = !begun_ && (begin_ == Begin::first || collection == nullptr);
  if (is_first || (begun_ && generation != position_.generation)) {
    start_over(collection, step);
    return step;
  }
  if (collection == nullptr) {
    settled_ = true;
    return step;
  }
  if (!begun_) {
    if (auto status = begin_now(*collection, now); !status) return tl::unexpected(status.error());
    return step;
  }
  if (auto status = tell_expired(*collection, now, step); !status)
    return tl::unexpected(status.error());

  const bool begins = !cursor_;
  if (begins && std::exchange(must_recheck_, false)) rechecks_ = true;
  flushed_ = collection->flushed();
  const std::uint64_t flushed = flushed_.hash();
  if (full_ && begins) position_.flushed = flushed;
  if (flushed != position_.flushed) {
    start_over(collection, step);
    return step;
  }
  if (begins) durable_ = collection->durable();
  Context excluded = rechecks_ ? Context() : walked_;
  if (!begins) exclude_later(*collection, excluded);
  auto slice = collection->walk(
      {.excluded = std::move(excluded), .from = cursor_, .limits = options_.limits});
  if (!slice) return tl::unexpected(slice.error());
  if (resumed_ && !meet(slice->durable)) {
    start_over(collection, step);
    return step;
  }
  // Behind the walk: what it did not find any more is among them.
  Context forgotten = collection->forgotten();
  forgotten.intersect(durable_);
  if (may_have_missed(forgotten, slice->durable)) {
    start_over(collection, step);
    return step;
  }
  if (begins)
    round_ = std::move(slice->durable);  // That of before the first record.
  else
    round_.intersect(slice->durable);
  for (KeyedRecord& entry : slice->records)
    tell(entry, now, step);
  bound_claims();
  if (slice->next) {
    cursor_ = slice->next;
    settled_ = false;
    step.more = true;
  } else {
    cleared_ = std::move(forgotten);
    end_round(begins, now, step);
  }
  return step;
}

}  // namespace dhrt
