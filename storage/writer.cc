#include "storage/writer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "storage/record_codec.h"

namespace dhrt {

namespace {

// Records that are on their way from memory at once, as in node/fast_commands.cc.
constexpr std::size_t records_ahead = 6;

std::vector<KeyedView> views_of(const std::vector<KeyedRecord>& records) {
  std::vector<KeyedView> views;
  views.reserve(records.size());
  for (const KeyedRecord& entry : records)
    views.push_back(view_of(entry));
  return views;
}

std::string to_text(const Version& version) {
  return std::to_string(version.hlc) + "-" + std::to_string(version.node);
}

// No clock comes there: some node has made such a version up, and nothing can be above it.
bool has_last_version(const RecordView* held, std::uint64_t above_hlc) {
  return above_hlc == hlc_max || (held != nullptr && held->version.hlc == hlc_max);
}

tl::unexpected<Error> last_version_error() {
  return fail(
      ErrorCode::precondition,
      "this key has the highest version that there can be, made up by some node; it was not "
      "written; use another key, or drop the collection");
}

// Message of the precondition that does not hold; `held` is null or what is there.
Status check_preconditions(const WriteRequest& request, const RecordView* held, bool existed) {
  if (request.if_absent && existed)
    return fail(ErrorCode::precondition,
                "the key exists with version " + to_text(held->version) + "; it was not written");
  if (request.if_version && !(existed && held->version == *request.if_version))
    return fail(ErrorCode::precondition,
                existed ? "the key has version " + to_text(held->version) + "; it was not written"
                        : "the key does not exist; it was not written");
  return {};
}

HashedKey hashed(const WriteRequest& request) {
  return request.hash == 0 ? HashedKey(request.key) : HashedKey(request.key, request.hash);
}

// Who made or sent the later record had what is held, and does not count on it any more. So it was
// deleted, or its deadline passed, and that is forgotten: what is left of it must not be joined.
bool has_replaced(const RecordView& later, const RecordView& held, const Context* seen_there) {
  if (!newer(later, held)) return false;
  const Dot& old = held.dot;
  const bool by_writer = later.dot.origin == old.origin && later.dot.sequence > old.sequence;
  return by_writer || (seen_there != nullptr && seen_there->contains(old));
}

bool may_be_blind(const WriteRequest& request) {
  return request.blind && !request.deletes && !request.if_absent && !request.if_version;
}

}  // namespace

void copy_record(const WriteRequest& request, const Written& written, Record& record) {
  record.version = written.version;
  record.dot = written.dot;
  record.deleted = request.deletes;
  record.damaged = false;
  record.deadline = written.deadline;
  record.created = written.created;
  record.previous = written.previous;
  record.attributes = request.attributes;
  record.value = request.value;
}

RecordView view_of(const WriteRequest& request, const Written& written) {
  return {.version = written.version,
          .dot = written.dot,
          .deleted = request.deletes,
          .deadline = written.deadline,
          .created = written.created,
          .attributes = request.attributes,
          .value = request.value};
}

Record record_of(const WriteRequest& request, const Written& written) {
  Record record;
  copy_record(request, written, record);
  return record;
}

void RecordWriter::make(const RecordView* held, const Change& change, bool existed,
                        std::uint64_t above_hlc, WallMilliseconds wall, Written& written,
                        RecordView& put) const {
  const bool unread = held != nullptr && held->unread;
  const std::uint64_t stored = held != nullptr ? held->version.hlc : 0;
  written.existed = existed;
  written.version = {clock_.after(wall, std::max(stored, above_hlc)), origin_.node};
  written.deadline = change.deletes ? 0 : change.deadline;
  written.created = unread ? created_unknown : existed && !change.deletes ? created_of(*held) : 0;
  written.previous = held != nullptr && !unread ? std::optional(held->dot) : std::nullopt;
  put = view_of(
      WriteRequest{
          .deletes = change.deletes, .value = change.value, .attributes = change.attributes},
      written);
}

Result<Written> RecordWriter::finish(Collection& collection, Written written, Position position,
                                     WallMilliseconds wall, bool replaces_unseen) {
  clock_.take(written.version.hlc, wall);
  written.position = position;
  if (!replaces_unseen) return written;
  // What a pull brought is not in the context yet; who replaces it has seen it.
  Batch batch;
  batch.seen.add(*written.previous);
  const auto seen = store_.append(collection, std::move(batch));
  if (!seen) return tl::unexpected(seen.error());
  written.position = *seen;
  return written;
}

Result<Written> RecordWriter::write(Collection& collection, const WriteRequest& request,
                                    WallMilliseconds wall) {
  Written written;
  Status allowed;
  bool replaces_unseen = false;
  // Nobody else takes dots of our origin, so this one stays the next until the write is made.
  written.dot = {origin_, collection.last_sequence(origin_) + 1};
  const Change change{.value = request.value,
                      .attributes = request.attributes,
                      .deadline = request.deadline,
                      .deletes = request.deletes};
  const auto position = store_.update(
      collection, hashed(request),
      Store::Terms(Store::Joins::seen, may_be_blind(request) ? clock_.reach(wall) : 0),
      [&](const RecordView* held, RecordView& put) {
        const std::uint64_t above = std::max(request.above_hlc, collection.forgotten_hlc());
        const bool existed = held != nullptr && !held->unread && visible(*held, wall);
        allowed = check_preconditions(request, held, existed);
        if (has_last_version(held, above)) allowed = last_version_error();
        if (!allowed) return false;
        replaces_unseen = held != nullptr && held->unseen;
        make(held, change, existed, above, wall, written, put);
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  if (!allowed) return tl::unexpected(std::move(allowed.error()));
  return finish(collection, written, *position, wall, replaces_unseen);
}

Result<std::optional<Written>> RecordWriter::change(Collection& collection, const HashedKey& key,
                                                    WallMilliseconds wall, Decide decide) {
  Written written;
  bool damaged = false;
  bool is_last = false;
  bool replaces_unseen = false;
  written.dot = {origin_, collection.last_sequence(origin_) + 1};
  const auto position = store_.update(
      collection, key, Store::Joins::seen, [&](const RecordView* held, RecordView& put) {
        damaged = held != nullptr && held->damaged;
        if (damaged) return false;
        const bool existed = held != nullptr && visible(*held, wall);
        Change change;
        if (existed) change = {held->value, held->attributes, held->deadline, false};
        if (!decide(existed ? held : nullptr, change)) return false;
        const std::uint64_t floor = collection.forgotten_hlc();
        is_last = has_last_version(held, floor);
        if (is_last) return false;
        if (change.adds) {
          const std::uint64_t stored = std::max(held != nullptr ? held->version.hlc : 0, floor);
          const Addition addition{origin_, clock_.after(wall, stored), *change.adds};
          attributes_ = count_on(held, existed, addition, change.attributes);
          change.attributes = attributes_;
        }
        replaces_unseen = held != nullptr && held->unseen;
        make(held, change, existed, floor, wall, written, put);
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  if (damaged)
    return fail(ErrorCode::corrupt,
                "the record of this key is damaged on this node's disk and asked for from other "
                "nodes; try again, or write the key anew");
  if (is_last) return last_version_error();
  if (*position == 0) return std::optional<Written>();
  auto made = finish(collection, written, *position, wall, replaces_unseen);
  if (!made) return tl::unexpected(std::move(made.error()));
  return std::optional(*made);
}

// See storage/conflicts.h for why. What loses nothing is no loss.
RecordWriter::Put::Lost RecordWriter::lost_of(const RecordView& held, const RecordView& record,
                                              const Context& seen, const Arrival& arrival) const {
  const auto is_loss = [&](const RecordView& loser, const RecordView& winner) {
    const bool same = !winner.deleted && winner.value == loser.value;
    return visible(loser, arrival.wall) && !loser.damaged && !same && !counts_all(winner, loser);
  };
  const Origin& writer = held.dot.origin;
  if (!newer(record, held)) {
    // What loses to an unsettled one comes again.
    const bool is_ours =
        writer.node == origin_.node && writer.epoch == origin_.epoch && !held.unsettled;
    const bool concurrent = is_ours && !seen.contains(record.dot);
    return concurrent && is_loss(record, held) ? Put::Lost::incoming : Put::Lost::nothing;
  }
  const auto& [donor, vector] = arrival.donor;
  const bool concurrent = donor != 0 && record.dot.origin.node == donor &&
                          vector->contains(record.dot) && !vector->contains(held.dot);
  return concurrent && is_loss(held, record) ? Put::Lost::held : Put::Lost::nothing;
}

Result<RecordWriter::Put> RecordWriter::put_if_newer(Collection& collection,
                                                     const KeyedView& incoming,
                                                     const HashedKey& key, const Known& known,
                                                     const Arrival& arrival) {
  Put made;
  const RecordView& record = incoming.record;
  const bool was_seen = !arrival.live && !arrival.heals && known.seen.contains(record.dot);
  const bool is_deleted_here = was_seen && !record.deleted && collection.keeps_all();
  const auto position = store_.update(
      collection, key, arrival.live ? Store::Joins::seen : Store::Joins::nothing,
      [&](const RecordView* held, RecordView& put) {
        // A damaged copy is replaced by the same write, intact.
        const bool same = held != nullptr && held->dot == record.dot;
        const bool heals = same && held->damaged && !record.damaged;
        const bool tells = conflicts_ != nullptr && held != nullptr && !same;
        made.replaced.reset();
        made.is_missed = false;
        made.lost = Put::Lost::nothing;
        made.must_join = meet(collection, held, record, known.flushed, arrival);
        if (made.must_join) return false;
        // It was here, and is deleted or was evicted; where nothing is evicted it is deleted also
        // if something older has come since.
        if (was_seen && held == nullptr) return false;
        if (is_deleted_here && !same && !held->damaged && newer(record, *held)) return false;
        if (tells) made.lost = lost_of(*held, record, known.seen, arrival);
        if (made.lost != Put::Lost::nothing) made.held = held->dot;
        if (held != nullptr && !heals && !newer(record, *held)) {
          // It may be lost in a power cut, and this one would be called seen without being held.
          made.is_missed = held->unsettled;
          return false;
        }
        made.must_delete_anew = was_seen && record.deleted && held != nullptr && !held->deleted;
        if (made.must_delete_anew) return false;
        if (held != nullptr && held->unseen && !same) made.replaced = held->dot;
        if (made.lost == Put::Lost::held && arrival.keeps) made.loser = copy_of(*held);
        put = record;
        if (put.created == created_unknown)
          put.created = held != nullptr ? created_in_place_of(*held, record) : 0;
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  made.position = *position;
  if (made.lost == Put::Lost::nothing || made.must_delete_anew) return made;
  const bool held_lost = made.lost == Put::Lost::held;
  if (!held_lost && arrival.keeps) made.loser = copy_of(record);
  conflicts_->lost(collection,
                   {.key = incoming.key,
                    .loser = held_lost ? made.held : record.dot,
                    .winner = held_lost ? record.dot : made.held},
                   std::move(made.loser));
  return made;
}

// What was flushed takes nothing with it that the flush had not seen: it only loses, or wins. And
// nothing can be written above the last version.
bool RecordWriter::meet(const Collection& collection, const RecordView* held,
                        const RecordView& record, const Context& flushed,
                        const Arrival& arrival) const {
  return held != nullptr && must_join(*held, record, options_.mistake) &&
         !(collection.keeps_all() && options_.mistake != CounterMistake::replaced &&
           has_replaced(record, *held, arrival.seen_there)) &&
         !has_last_version(held, record.version.hlc) && !flushed.contains(held->dot) &&
         !flushed.contains(record.dot);
}

// What is held may have changed since it was found that it must be joined: then nothing is written,
// and the record is looked at anew.
Result<RecordWriter::Put> RecordWriter::join_with_held(Collection& collection, const HashedKey& key,
                                                       const RecordView& record,
                                                       const Context& flushed,
                                                       const Arrival& arrival) {
  Put made;
  Written written;
  JoinedRecord content;
  const bool in_place = options_.mistake == CounterMistake::in_place;
  written.dot = {origin_, collection.last_sequence(origin_) + 1};
  const auto position = store_.update(
      collection, key, Store::Joins::seen, [&](const RecordView* held, RecordView& put) {
        made.must_join = !meet(collection, held, record, flushed, arrival);
        if (made.must_join) return false;
        content = join(*held, record, options_.mistake);
        made.replaced = held->unseen ? std::optional(held->dot) : std::nullopt;
        make(held,
             {.value = content.value,
              .attributes = content.attributes,
              .deadline = content.deadline,
              .deletes = content.deleted},
             visible(*held, arrival.wall), record.version.hlc, arrival.wall, written, put);
        // Just behind the two, whatever the clock says: a later change of a deadline, which the
        // join has not met yet, must not lose to it.
        written.version.hlc = std::max(held->version.hlc, record.version.hlc) + 1;
        put.version = written.version;
        if (in_place) {
          const RecordView& greater = newer(record, *held) ? record : *held;
          put.version = greater.version;
          put.dot = greater.dot;
        }
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  made.position = *position;
  made.joined = !made.must_join;
  if (!made.joined || in_place) return made;
  clock_.take(written.version.hlc, arrival.wall);
  ++joins_;
  const WriteRequest request{.key = key.bytes,
                             .deletes = content.deleted,
                             .value = content.value,
                             .attributes = content.attributes};
  joined_.push_back({{std::string(key.bytes), record_of(request, written)}, *position});
  return made;
}

// A burst of increments of one key is joined once: its last record has all of them.
Result<RecordWriter::Put> RecordWriter::put_or_join(Collection& collection,
                                                    std::span<const KeyedView> records,
                                                    std::size_t place, const Known& known,
                                                    const Arrival& arrival) {
  const RecordView& record = records[place].record;
  const bool is_flushed = known.flushed.contains(record.dot);
  const KeyedView incoming{records[place].key, is_flushed ? tombstone_of(record) : record};
  for (;;) {
    auto made = put_if_newer(collection, incoming, keys_[place], known, arrival);
    if (made && made->must_delete_anew) {
      made = delete_anew(collection, keys_[place], incoming.record);
      if (!made || !made->must_delete_anew) return made;
      continue;
    }
    if (!made || !made->must_join) return made;
    if (!arrival.may_join) {
      made->is_missed = true;
      return made;
    }
    // Only what comes live may hold a key twice, and is never much at once.
    if (arrival.live && repeated_later(records, place)) return made;
    made = join_with_held(collection, keys_[place], record, known.flushed, arrival);
    if (!made || !made->must_join) return made;
  }
}

bool RecordWriter::repeated_later(std::span<const KeyedView> records, std::size_t place) const {
  const KeyedView& record = records[place];
  if (record.record.attributes.empty()) return false;
  const Origin& origin = record.record.dot.origin;
  for (std::size_t i = place + 1; i < records.size(); ++i) {
    if (keys_[i].hash != keys_[place].hash || records[i].key != record.key) continue;
    // The later one must be taken in where this one is: not so if its start of the node is over.
    const Origin& later = records[i].record.dot.origin;
    if (later.node != origin.node || later.epoch != origin.epoch) continue;
    if (newer(records[i].record, record.record) &&
        !must_join(record.record, records[i].record, options_.mistake))
      return true;
  }
  return false;
}

// Memory fetches what the records are about to need, meanwhile.
void RecordWriter::announce(const Collection& collection, std::span<const KeyedView> records) {
  keys_.clear();
  for (const KeyedView& record : records) {
    keys_.emplace_back(record.key);
    collection.prefetch(keys_.back());
  }
  for (std::size_t i = 0; i < std::min(keys_.size(), records_ahead); ++i)
    collection.prefetch_record(keys_[i]);
}

// Dots without a record join the context behind the records: who loses power in between is sent
// such a record once more, and it loses again.
Result<Position> RecordWriter::put_newer(Collection& collection, std::span<const KeyedView> records,
                                         Arrival arrival) {
  const bool live = arrival.live;
  arrival.keeps = conflicts_ != nullptr && conflicts_->keeps(collection);
  Known known{collection.seen(), collection.flushed()};
  Batch contexts;
  Position last = 0;
  announce(collection, records);
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (i + records_ahead < keys_.size()) collection.prefetch_record(keys_[i + records_ahead]);
    const RecordView& record = records[i].record;
    const Dot& dot = record.dot;
    if (live && (known.seen.contains(dot) || known.seen.knows_later_epoch(dot.origin))) continue;
    clock_.observe(record.version.hlc, arrival.wall);
    const auto put = put_or_join(collection, records, i, known, arrival);
    if (!put) return tl::unexpected(put.error());
    last = std::max(last, put->position);
    if (put->replaced) contexts.seen.add(*put->replaced);
    if (!live || put->is_missed) continue;
    known.seen.add(dot);
    if (put->position == 0 || put->joined) contexts.seen.add(dot);
  }
  if (last != 0 && contexts.seen.empty()) return last;
  // Also if it is empty: its position says when all that was met here is durable.
  return store_.append(collection, std::move(contexts));
}

Result<Position> RecordWriter::push(Collection& collection, std::span<const KeyedView> records,
                                    WallMilliseconds wall, bool may_join) {
  return put_newer(collection, records, {.wall = wall, .live = true, .may_join = may_join});
}

Result<Position> RecordWriter::pull(Collection& collection, const std::vector<KeyedRecord>& records,
                                    WallMilliseconds wall) {
  return pull(collection, records, wall, {});
}

Result<Position> RecordWriter::pull(Collection& collection, const std::vector<KeyedRecord>& records,
                                    WallMilliseconds wall, const Donor& donor) {
  return put_newer(collection, views_of(records),
                   {.wall = wall, .donor = donor, .seen_there = donor.vector});
}

Result<Position> RecordWriter::heal(Collection& collection, const KeyedRecord& record,
                                    WallMilliseconds wall) {
  const KeyedView view = view_of(record);
  return put_newer(collection, {&view, 1}, {.wall = wall, .heals = true});
}

// Puts a tombstone under a dot of our own if it is newer than what is held.
Result<RecordWriter::Put> RecordWriter::bury(Collection& collection, const HashedKey& key,
                                             RecordView tombstone) {
  Put made;
  tombstone.dot = {origin_, collection.last_sequence(origin_) + 1};
  std::optional<Dot> previous;
  const auto position = store_.update(
      collection, key, Store::Joins::seen, [&](const RecordView* held, RecordView& put) {
        // The same delete may come more than once.
        const bool repeats = held != nullptr && held->deleted && held->version == tombstone.version;
        if (repeats || (held != nullptr && !newer(tombstone, *held))) return false;
        previous = held != nullptr ? std::optional(held->dot) : std::nullopt;
        put = tombstone;
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  made.position = *position;
  if (made.position == 0) return made;
  made.joined = true;
  made.replaced = previous;
  Record record = copy_of(tombstone);
  record.previous = previous;
  joined_.push_back({{std::string(key.bytes), std::move(record)}, made.position});
  return made;
}

// A delete that was forgotten here, and what it deletes has come back: who was told of the delete
// is not told of the same dot again. Where it was not forgotten it must be replaced by this one, or
// who was told meanwhile of what had come back would hear no more of it there.
Result<RecordWriter::Put> RecordWriter::delete_anew(Collection& collection, const HashedKey& key,
                                                    const RecordView& tombstone) {
  const std::string attributes =
      with_times_made_anew(tombstone.attributes, times_made_anew(tombstone.attributes) + 1);
  RecordView anew = tombstone;
  anew.attributes = attributes;
  auto made = bury(collection, key, anew);
  if (made) made->must_delete_anew = made->position == 0;
  return made;
}

Result<RecordWriter::Put> RecordWriter::mend_one(Collection& collection,
                                                 std::span<const KeyedView> records,
                                                 std::size_t place, const Known& known,
                                                 const Context& captured, const Arrival& arrival) {
  const RecordView& record = records[place].record;
  const bool was_seen = captured.contains(record.dot);
  const bool is_flushed = known.flushed.contains(record.dot);
  if (was_seen || is_flushed) {
    // The same write may be held after all, and damaged: then it is to be healed, not deleted.
    const auto held = collection.find(records[place].key);
    // What does not even decode is not absent, and may be newer: who heals it asks everybody.
    if (!held && held.error().code == ErrorCode::corrupt) return Put();
    if (!held) return tl::unexpected(held.error());
    const bool was_deleted = !is_flushed && collection.keeps_all() && visible(record, arrival.wall);
    const bool is_held = *held && (*held)->dot == record.dot;
    // The delete bit makes it newer than the record, and nothing else that was ever written is
    // between the two.
    if (was_deleted && !is_held)
      return bury(collection, keys_[place], {.version = record.version, .deleted = true});
    // Forgotten, or dropped to make room. What was flushed before it came is not: its tombstone
    // says above which version the next write must be.
    if (was_seen && !*held) return Put();
  }
  return put_or_join(collection, records, place, known, arrival);
}

Result<Position> RecordWriter::mend(Collection& collection, const std::vector<KeyedRecord>& records,
                                    const Context& captured, const Context& seen_there,
                                    WallMilliseconds wall) {
  return mend(collection, views_of(records), captured, seen_there, wall);
}

Result<Position> RecordWriter::mend(Collection& collection, std::span<const KeyedView> records,
                                    const Context& captured, const Context& seen_there,
                                    WallMilliseconds wall) {
  const Known known{collection.seen(), collection.flushed()};
  announce(collection, records);
  Position position = 0;
  Batch contexts;
  Status status;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (i + records_ahead < keys_.size()) collection.prefetch_record(keys_[i + records_ahead]);
    clock_.observe(records[i].record.version.hlc, wall);
    const auto made = mend_one(collection, records, i, known, captured,
                               {.wall = wall, .seen_there = &seen_there});
    if (!made) {
      status = tl::unexpected(made.error());
      break;
    }
    position = std::max(position, made->position);
    if (made->replaced) contexts.seen.add(*made->replaced);
  }
  // Also if it is empty: its position says when all that was met here is durable.
  const auto last = store_.append(collection, std::move(contexts));
  if (!status) return tl::unexpected(status.error());
  if (!last) return tl::unexpected(last.error());
  return std::max(position, *last);
}

Result<Position> RecordWriter::merge(Collection& collection, const Context& vector) {
  Batch batch;
  batch.seen = vector;
  return store_.append(collection, std::move(batch));
}

Result<Context> RecordWriter::flush(Collection& collection) {
  Context flushed = collection.seen();
  if (auto position = apply_flush(collection, flushed); !position)
    return tl::unexpected(position.error());
  return flushed;
}

Result<Position> RecordWriter::apply_flush(Collection& collection, const Context& flushed) {
  Batch batch;
  batch.flushed = flushed;
  return store_.append(collection, std::move(batch));
}

}  // namespace dhrt
