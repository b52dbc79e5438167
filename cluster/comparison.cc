#include "cluster/comparison.h"

#include <algorithm>
#include <utility>

#include "storage/base/function_ref.h"

namespace dhrt {

void keep_common(std::optional<Context>& vector, const Context& of_slice) {
  if (vector)
    vector->intersect(of_slice);
  else
    vector = of_slice;
}

std::uint64_t bytes_of(const std::vector<KeyedRecord>& records) {
  std::uint64_t bytes = 0;
  for (const KeyedRecord& entry : records)
    bytes += entry.key.size() + entry.record.value.size();
  return bytes;
}

std::uint64_t bytes_of(const SharedBatch& records) {
  return records == nullptr ? 0 : records->bytes().size();
}

namespace {

// The most that a peer may ask for in one answer; its frame then stays below the frame limit.
constexpr std::size_t listed_keys_max = 8192;
constexpr std::size_t fetched_keys_max = 1024;
// A joiner's reads are answered by others until it has the record: of a thousand keys some are read
// as often as all others.
constexpr std::size_t hot_keys_max = 4096;
// Some thirty thousand keys each time.
constexpr unsigned times_put_off_max = 100'000;

// From who joins, with the first question about the collection.
bool is_of_nothing(const Audit& audit) {
  return audit.fingerprint.count == 0 && audit.from.empty() && !audit.to;
}

std::size_t count_of(const AuditReply& reply) {
  if (!reply.with_values) return reply.records.size();
  return reply.batch == nullptr ? 0 : reply.batch->count();
}

// Null if there are none.
SharedBatch batch_of(const std::vector<KeyedRecord>& records) {
  return records.empty() ? nullptr : batch_with(records);
}

// True: all of them.
bool each_key(const AuditReply& reply, FunctionRef<bool(Bytes)> visit) {
  if (!reply.with_values) return std::ranges::all_of(reply.records, visit, &KeyedRecord::key);
  if (reply.batch == nullptr) return true;
  RecordBatch::Cursor cursor(*reply.batch);
  for (Bytes key; cursor.next_key(key);) {
    if (!visit(key)) return false;
  }
  return true;
}

bool same_write(const Record& left, const Record& right) {
  return left.dot == right.dot && left.version == right.version;
}

}  // namespace

// --- The side that asks -------------------------------------------------------------------------

void Comparison::ask(Message message, const Step& step) {
  asked_ = type_of(message);
  // Where there is no link its end is being told to us, and the session ends with it.
  if (const auto link = links_.link(peer_, LinkClass::bulk)) step.send(*link, std::move(message));
}

void Comparison::begin(const Context& flushed, const Step& step) {
  flushed_ = flushed;
  ask(
      Audit{
          .request = next_request(), .collection = collection_, .begins = true, .flushed = flushed},
      step);
}

Token Comparison::apply_token(std::uint64_t bytes) {
  const Token token = ++numbers_.tokens;
  unapplied_.add(token, bytes);
  return token;
}

void Comparison::list(const Step& step) {
  listing_ = ++numbers_.tokens;
  step.actions.emplace_back(RangeLocal{.token = listing_,
                                       .collection = collection_,
                                       .from = from_,
                                       .records_max = options_.compared_keys,
                                       .bytes_max = options_.compared_bytes});
}

bool Comparison::ranged(const Ranged& ranged, const Step& step) {
  if (listing_ == 0 || ranged.token != listing_) return false;
  listing_ = 0;
  if (!ranged.ok || (!owed_.empty() && ranged.done == 0)) {
    state_ = ranged.gone ? State::unknown : State::failed;
    return true;
  }
  if (!captured_) captured_ = ranged.vector;
  keep_common(common_, ranged.vector);
  forgotten_.merge(ranged.forgotten);
  forgotten_hlc_ = std::max(forgotten_hlc_, ranged.forgotten_hlc);
  if (!owed_.empty()) {
    // The records that the peer is owed: the first of them, as far as they fit.
    owed_.erase(owed_.begin(),
                owed_.begin() + std::min<std::ptrdiff_t>(ranged.done, std::ssize(owed_)));
    if (ranged.records.empty()) {
      go_on(step);
      return true;
    }
    records_mended_ += ranged.records.size();
    ask(Mend{.request = next_request(),
             .collection = collection_,
             .records = ranged.records,
             .captured = *peer_captured_,
             .vector = ranged.vector},
        step);
    return true;
  }
  mine_ = ranged.records;
  to_ = listed_to_ = ranged.next;
  audit(step);
  return true;
}

void Comparison::audit(const Step& step) {
  Fingerprint fingerprint;
  for (const KeyedRecord& entry : mine_)
    fingerprint.add(entry);
  ask(Audit{.request = next_request(),
            .collection = collection_,
            .from = from_,
            .to = to_,
            .fingerprint = fingerprint,
            .flushed = flushed_},
      step);
}

// All of them in the range that was asked for, and before what is left of it.
bool Comparison::is_in_order(const AuditReply& reply) const {
  std::optional<Bytes> last;
  const bool ascends = each_key(reply, [&](Bytes key) {
    const bool is_behind = last ? key > *last : key >= Bytes(from_);
    last = key;
    return is_behind;
  });
  const auto is_before = [&](const std::optional<std::string>& end) {
    return !last || !end || *last < Bytes(*end);
  };
  return ascends && is_before(reply.next) && is_before(to_);
}

// It would never end.
bool Comparison::does_not_get_on(const AuditReply& reply) {
  if (!reply.next) return false;
  const bool is_empty = count_of(reply) == 0;
  if (is_empty && ++times_put_off_ >= times_put_off_max) return true;
  const bool is_behind = *reply.next > from_ || (*reply.next == from_ && is_empty);
  return !is_behind || (to_ && *reply.next > *to_);
}

bool Comparison::answers(std::uint64_t request, MessageType asked) {
  if (request_ == 0 || request != request_ || asked != asked_) return false;
  request_ = 0;
  return true;
}

bool Comparison::reply(const AuditReply& reply, const Step& step) {
  if (reply.collection != collection_ || !answers(reply.request, MessageType::audit)) return false;
  if (reply.unknown || reply.failed) {
    state_ = reply.unknown ? State::unknown : State::failed;
    return true;
  }
  if (!peer_captured_) peer_captured_ = reply.vector;
  keep_common(peer_common_, reply.vector);
  peer_forgotten_.merge(reply.forgotten);
  peer_forgotten_hlc_ = std::max(peer_forgotten_hlc_, reply.forgotten_hlc);
  if (!flushed_.contains(reply.flushed)) {
    // Flushes first: what they cover is no longer to be compared.
    flushed_.merge(reply.flushed);
    step.actions.emplace_back(ApplyRecords{.token = apply_token(),
                                           .collection = collection_,
                                           .records = {},
                                           .flushed = reply.flushed});
  }
  if (!begun_) {
    begun_ = true;
    list(step);
    return true;
  }
  meter_.expect(reply.records_held);
  if (reply.equal) {
    meter_.add(mine_.size(), 0);
    go_on(step);
  } else if (does_not_get_on(reply) || !is_in_order(reply)) {
    state_ = State::failed;
  } else if (reply.next && *reply.next == from_) {
    audit(step);  // The peer brings its keys into order first.
  } else {
    compare(reply, step);
  }
  return true;
}

void Comparison::compare(const AuditReply& reply, const Step& step) {
  meter_.add(count_of(reply), bytes_of(reply.batch));
  // What lies behind the answer's end comes with the next range.
  if (reply.next) to_ = reply.next;
  if (!reply.with_values) {
    compare_each(reply.records, reply, step);
  } else if (mine_.empty() || (to_ && mine_.front().key >= *to_)) {
    // Whether there was one that was deleted here the store knows as well.
    if (reply.next) want_hot_ones(reply.hot, *reply.next);
    mend_and_go_on(reply.batch, reply.vector, step);
  } else {
    compare_each(reply.batch == nullptr ? std::vector<KeyedRecord>() : reply.batch->records(),
                 reply, step);
  }
}

void Comparison::compare_each(const std::vector<KeyedRecord>& records, const AuditReply& reply,
                              const Step& step) {
  std::vector<KeyedRecord> due;
  auto mine = mine_.begin();
  const auto end = to_ ? std::ranges::lower_bound(mine_, *to_, {}, &KeyedRecord::key) : mine_.end();
  const auto they_lack = [&](const KeyedRecord& entry) {
    // A delete that they have seen and forgotten is no news.
    if (!entry.record.deleted || !peer_captured_->contains(entry.record.dot))
      owed_.push_back(entry.key);
  };
  for (const KeyedRecord& theirs : records) {
    for (; mine != end && mine->key < theirs.key; ++mine)
      they_lack(*mine);
    const bool both = mine != end && mine->key == theirs.key;
    // Of counters the older one may have been added to as well: who did not see it must, before it
    // takes in the other's context.
    const bool counts =
        both && !(mine->record.attributes.empty() && theirs.record.attributes.empty());
    if (both && same_write(mine->record, theirs.record)) {
      // The same, unless one copy is damaged.
      if (mine->record.damaged && !theirs.record.damaged) wanted_.push_back(theirs.key);
      if (theirs.record.damaged && !mine->record.damaged) owed_.push_back(theirs.key);
    } else if (both && newer(mine->record, theirs.record)) {
      owed_.push_back(theirs.key);
      if (counts && !captured_->contains(theirs.record.dot)) wanted_.push_back(theirs.key);
    } else if (both || !theirs.record.deleted || !captured_->contains(theirs.record.dot)) {
      if (reply.with_values)
        due.push_back(theirs);
      else
        wanted_.push_back(theirs.key);
      if (counts && !peer_captured_->contains(mine->record.dot)) owed_.push_back(theirs.key);
    }
    if (both) ++mine;
  }
  for (; mine != end; ++mine)
    they_lack(*mine);
  if (reply.next) want_hot_ones(reply.hot, *reply.next);
  mend_and_go_on(batch_of(due), reply.vector, step);
}

// What is read most is to be here first. What lies before `behind` has come already.
void Comparison::want_hot_ones(std::vector<std::string> keys, const std::string& behind) {
  if (!mine_.empty() || keys.size() > hot_keys_max) return;
  std::erase_if(keys, [&behind](const std::string& key) { return key < behind; });
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  wanted_.insert(wanted_.end(), std::move_iterator(keys.begin()), std::move_iterator(keys.end()));
}

void Comparison::mend_here(SharedBatch records, const Context& seen_there, const Step& step) {
  if (records == nullptr) return;
  records_mended_ += records->count();
  step.actions.emplace_back(MendRecords{.token = apply_token(bytes_of(records)),
                                        .collection = collection_,
                                        .records = std::move(records),
                                        .captured = *captured_,
                                        .seen_there = seen_there});
}

// If the next question is one to the peer, it works on it while these go into the store; unless
// that is too much to be taken in at once. The last word needs them there.
void Comparison::mend_and_go_on(SharedBatch records, const Context& seen_there, const Step& step) {
  const bool is_last = wanted_.empty() && owed_.empty() && !to_;
  waits_for_store_ =
      !is_last && !unapplied_.has_room_for(bytes_of(records), options_.unapplied_bytes_max);
  const bool goes_on_first = !is_last && !waits_for_store_;
  if (goes_on_first) go_on(step);
  mend_here(std::move(records), seen_there, step);
  if (is_last) go_on(step);
}

// What is to be had first, then what is owed, then the next range.
void Comparison::go_on(const Step& step) {
  if (!wanted_.empty()) {
    Fetch fetch{.request = next_request(), .collection = collection_};
    fetch.keys.assign(
        wanted_.begin(),
        wanted_.begin() + std::min<std::ptrdiff_t>(fetched_keys_max, std::ssize(wanted_)));
    ask(std::move(fetch), step);
    return;
  }
  if (!owed_.empty()) {
    listing_ = ++numbers_.tokens;
    step.actions.emplace_back(FetchLocal{.token = listing_,
                                         .collection = collection_,
                                         .keys = owed_,
                                         .bytes_max = options_.compared_bytes});
    return;
  }
  if (!to_) return finish(step);
  next_range(step);
}

// What was listed behind the end of the peer's answer is not listed again: who joins has nothing,
// and asks for one slice after the other.
void Comparison::next_range(const Step& step) {
  from_ = std::move(*to_);
  to_ = listed_to_;
  mine_.erase(mine_.begin(), std::ranges::lower_bound(mine_, from_, {}, &KeyedRecord::key));
  if (to_ == from_)
    list(step);
  else
    audit(step);
}

bool Comparison::reply(const FetchReply& reply, const Step& step) {
  if (reply.collection != collection_ || !answers(reply.request, MessageType::fetch)) return false;
  if (reply.unknown) {
    state_ = State::unknown;
    return true;
  }
  if (reply.done == 0) {
    state_ = State::failed;
    return true;
  }
  keep_common(peer_common_, reply.vector);
  meter_.add(0, bytes_of(reply.records));
  wanted_.erase(wanted_.begin(),
                wanted_.begin() + std::min<std::ptrdiff_t>(reply.done, std::ssize(wanted_)));
  mend_and_go_on(batch_of(reply.records), reply.vector, step);
  return true;
}

void Comparison::finish(const Step& step) {
  finishing_ = true;
  conclude(step);
}

// A store that is full refuses records, and takes contexts: what it has refused must not be
// claimed.
void Comparison::conclude(const Step& step) {
  if (!finishing_ || concluded_ || !unapplied_.empty() || state_ != State::under_way) return;
  concluded_ = true;
  // Behind the last record, in the order in which they are stored.
  step.actions.emplace_back(MergeContext{apply_token(), collection_, *peer_common_, peer_forgotten_,
                                         peer_forgotten_hlc_});
  ask(Mend{.request = next_request(),
           .collection = collection_,
           .captured = *peer_captured_,
           .vector = *common_,
           .forgotten = forgotten_,
           .forgotten_hlc = forgotten_hlc_},
      step);
}

bool Comparison::reply(const Mended& reply, const Step& step) {
  if (!answers(reply.request, MessageType::mend)) return false;
  if (!reply.ok) {
    state_ = State::failed;
  } else if (finishing_) {
    peer_finished_ = true;
    look_whether_done();
  } else {
    go_on(step);
  }
  return true;
}

bool Comparison::applied(const Applied& applied, const Step& step) {
  if (!unapplied_.erase(applied.token)) return false;
  if (!applied.ok) state_ = State::failed;
  const bool has_room = unapplied_.has_room_for(0, options_.unapplied_bytes_max);
  if (state_ == State::under_way && has_room && std::exchange(waits_for_store_, false)) go_on(step);
  conclude(step);
  look_whether_done();
  return true;
}

void Comparison::look_whether_done() {
  if (state_ == State::under_way && concluded_ && peer_finished_ && unapplied_.empty())
    state_ = State::done;
}

// --- The side that answers ----------------------------------------------------------------------

bool Comparisons::has_room_for(ConnectionId from) const {
  const auto of_it = [from](const auto& entry) { return entry.second.connection == from; };
  const auto waiting =
      std::ranges::count_if(questions_, of_it) + std::ranges::count_if(mendings_, of_it);
  return static_cast<std::size_t>(waiting) < options_.walks_per_connection_max;
}

bool Comparisons::asked(ConnectionId from, const Audit& audit, bool is_over, const Context& durable,
                        const Context& flushed, const Step& step) {
  if (!has_room_for(from)) return false;
  if (is_over) {
    step.send(from, AuditReply{
                        .request = audit.request, .collection = audit.collection, .unknown = true});
    return true;
  }
  if (!flushed.contains(audit.flushed)) {
    step.actions.emplace_back(
        ApplyRecords{.collection = audit.collection, .records = {}, .flushed = audit.flushed});
  }
  if (audit.begins) {
    step.send(from, AuditReply{.request = audit.request,
                               .collection = audit.collection,
                               .vector = durable,
                               .flushed = flushed});
    return true;
  }
  const Token token = ++numbers_.tokens;
  const bool with_values = audit.fingerprint.count == 0;
  questions_[token] = {.connection = from,
                       .request = audit.request,
                       .collection = audit.collection,
                       .with_values = with_values,
                       .fingerprint = audit.fingerprint,
                       .flushed = flushed};
  step.actions.emplace_back(RangeLocal{.token = token,
                                       .collection = audit.collection,
                                       .from = audit.from,
                                       .to = audit.to,
                                       .with_values = with_values,
                                       .records_max = listed_keys_max,
                                       .bytes_max = options_.compared_bytes,
                                       .hot_keys_max = is_of_nothing(audit) ? hot_keys_max : 0});
  return true;
}

bool Comparisons::asked(ConnectionId from, const Fetch& fetch, bool is_over, const Step& step) {
  if (!has_room_for(from) || fetch.keys.size() > fetched_keys_max) return false;
  if (is_over || fetch.keys.empty()) {
    step.send(
        from,
        FetchReply{.request = fetch.request, .collection = fetch.collection, .unknown = is_over});
    return true;
  }
  const Token token = ++numbers_.tokens;
  questions_[token] = {.connection = from,
                       .request = fetch.request,
                       .collection = fetch.collection,
                       .fetches = true};
  step.actions.emplace_back(FetchLocal{.token = token,
                                       .collection = fetch.collection,
                                       .keys = fetch.keys,
                                       .bytes_max = options_.compared_bytes});
  return true;
}

bool Comparisons::asked(ConnectionId from, const Mend& mend, bool is_over, const Step& step) {
  if (!has_room_for(from)) return false;
  if (is_over) {
    step.send(from, Mended{.request = mend.request, .ok = false});
    return true;
  }
  const Token token = ++numbers_.tokens;
  const bool ends = mend.records.empty();
  mendings_[token] = {
      .connection = from, .request = mend.request, .collection = mend.collection, .ends = ends};
  if (ends) {
    // Whatever came before it is stored before it.
    step.actions.emplace_back(
        MergeContext{token, mend.collection, mend.vector, mend.forgotten, mend.forgotten_hlc});
    return true;
  }
  step.actions.emplace_back(MendRecords{.token = token,
                                        .collection = mend.collection,
                                        .records = batch_of(mend.records),
                                        .captured = mend.captured,
                                        .seen_there = mend.vector});
  return true;
}

void Comparisons::ranged(const Ranged& ranged, const Step& step) {
  const auto found = questions_.find(ranged.token);
  if (found == questions_.end()) return;
  const Question question = std::move(found->second);
  questions_.erase(found);
  if (!links_.peer_of(question.connection)) return;
  if (ranged.gone) {
    if (question.fetches)
      step.send(question.connection, FetchReply{.request = question.request,
                                                .collection = question.collection,
                                                .unknown = true});
    else
      step.send(question.connection, AuditReply{.request = question.request,
                                                .collection = question.collection,
                                                .unknown = true});
    return;
  }
  if (!ranged.ok) {
    if (question.fetches)
      step.send(question.connection,
                FetchReply{.request = question.request, .collection = question.collection});
    else
      step.send(question.connection, AuditReply{.request = question.request,
                                                .collection = question.collection,
                                                .failed = true});
    step.log(LogLevel::error, "collection " + question.collection.name +
                                  " cannot be compared with a peer's, as it cannot be read here");
    return;
  }
  if (question.fetches) {
    step.send(question.connection, FetchReply{.request = question.request,
                                              .collection = question.collection,
                                              .vector = ranged.vector,
                                              .done = ranged.done,
                                              .records = ranged.records});
    return;
  }
  Fingerprint fingerprint;
  for (const KeyedRecord& entry : ranged.records)
    fingerprint.add(entry);
  if (ranged.batch != nullptr) fingerprint.count = ranged.batch->count();
  AuditReply reply{.request = question.request,
                   .collection = question.collection,
                   .equal = !ranged.next && fingerprint == question.fingerprint,
                   .vector = ranged.vector,
                   .flushed = question.flushed,
                   .forgotten = ranged.forgotten,
                   .forgotten_hlc = ranged.forgotten_hlc,
                   .with_values = question.with_values,
                   .records_held = ranged.records_held,
                   .hot = ranged.hot};
  if (!reply.equal) {
    reply.batch = ranged.batch;
    reply.records = ranged.records;
    reply.next = ranged.next;
  }
  step.send(question.connection, std::move(reply));
}

std::optional<Comparisons::Ended> Comparisons::applied(const Applied& applied, const Step& step) {
  const auto found = mendings_.find(applied.token);
  if (found == mendings_.end()) return std::nullopt;
  const Mending mending = std::move(found->second);
  mendings_.erase(found);
  if (!links_.peer_of(mending.connection)) return std::nullopt;
  step.send(mending.connection, Mended{.request = mending.request, .ok = applied.ok});
  if (!mending.ends || !applied.ok) return std::nullopt;
  return Ended{mending.connection, mending.collection};
}

}  // namespace dhrt
