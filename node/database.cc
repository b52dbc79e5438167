#include "node/database.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "cluster/clock_skew.h"
#include "protocol/json.h"

namespace dhrt {

VersionText::VersionText(const Version& version) {
  char* const end = text_.data() + text_.size();
  char* at = std::to_chars(text_.data(), end, version.hlc).ptr;
  *at++ = '-';
  size_ = static_cast<std::size_t>(std::to_chars(at, end, version.node).ptr - text_.data());
}

std::string to_text(const Version& version) {
  return std::string(VersionText(version).bytes());
}

std::optional<Version> parse_version(Bytes text) {
  Version version;
  const char* const end = text.data() + text.size();
  const auto hlc = std::from_chars(text.data(), end, version.hlc);
  if (hlc.ec != std::errc() || hlc.ptr == end || *hlc.ptr != '-') return std::nullopt;
  const auto node = std::from_chars(hlc.ptr + 1, end, version.node);
  if (node.ec != std::errc() || node.ptr != end) return std::nullopt;
  return version;
}

Status Database::member() const {
  if (belongs()) return {};
  return fail(ErrorCode::unavailable, "not a member of a cluster yet; waiting for " + waits_for_);
}

Status Database::writable() const {
  if (!parts_.view.fenced.get()) return member();
  const ClusterView& view = parts_.view;
  return fail(ErrorCode::unavailable,
              clock_skew_explanation(Duration(view.clock_offset_milliseconds.load()),
                                     Duration(view.max_clock_offset_milliseconds.load())));
}

// --- Reads ----------------------------------------------------------------------------------

Result<Database::Held> Database::held(Bytes collection, Bytes key) {
  Collection* here = parts_.catalog.find(collection);
  if (here == nullptr) return Held{};
  auto found = here->find(key);
  if (!found && found.error().code == ErrorCode::corrupt)
    return Held{.record = {}, .damaged = true};
  if (!found) return tl::unexpected(found.error());
  const bool damaged = *found && (*found)->damaged;
  return Held{.record = std::move(*found), .damaged = damaged};
}

bool Database::asks_others(Bytes collection) const {
  if (knows_all()) return false;
  const MissPolicy miss = parts_.catalog.config(collection).miss;
  if (miss == MissPolicy::local) return false;
  return miss == MissPolicy::fanout || !healthy();
}

void Database::ask(Bytes collection, Bytes key, ReplyDone done, bool waits_for_all) {
  ask_at({.collection = std::string(collection),
          .key = std::string(key),
          .waits_for_all = waits_for_all},
         std::move(done));
}

void Database::ask_at(FanoutRead read, ReplyDone done) {
  ++parts_.figures.fanout_reads_total;
  read.request = ++requests_;
  waiting_[read.request] = std::move(done);
  ask_(std::move(read));
}

void Database::fanout_reply(FanoutReply reply) {
  const auto found = waiting_.find(reply.request);
  if (found == waiting_.end()) return;
  const ReplyDone done = std::move(found->second);
  waiting_.erase(found);
  done(std::move(reply));
}

namespace {

// Memory that a change of a large value leaves behind.
constexpr std::size_t changed_bytes_kept = std::size_t{64} << 10;

// Another value begins anew what is counted; another deadline does not.
bool is_value_of(const RecordView* held, const Change& change) {
  return held != nullptr && !change.deletes && change.value.data() == held->value.data() &&
         change.value.size() == held->value.size();
}

Error damaged_value(Bytes collection, Bytes key) {
  const std::string named =
      json::is_utf8(key) ? "key '" + std::string(key) + "'" : "the key base64:" + json::base64(key);
  return {ErrorCode::corrupt,
          "the value of " + named + " in collection '" + std::string(collection) +
              "' is damaged on this node's disk and is not served; another node that has it "
              "replaces it by itself when it is reachable; if there is none, set or delete the "
              "key, or start a backup"};
}

}  // namespace

// What a peer holds and we have seen came here while it was asked, or was deleted here, and the
// delete forgotten.
bool Database::was_seen_here(Bytes collection, const Held& local, const Record& theirs) const {
  if (local.record || local.damaged) return false;
  const Collection* held = parts_.catalog.find(collection);
  return held != nullptr && held->keeps_all() && held->seen().contains(theirs.dot);
}

// A damaged copy gives way to the same write, intact, and to any newer one; an older one of another
// node must not pass for the value.
Result<Database::Found> Database::found(Bytes collection, Bytes key, Held local,
                                        const FanoutReply* reply) {
  const bool is_intact = reply != nullptr && reply->record && !reply->record->damaged;
  if (is_intact && was_seen_here(collection, local, *reply->record)) {
    auto again = held(collection, key);
    if (!again) return tl::unexpected(again.error());
    local = std::move(*again);
  } else if (is_intact) {
    const Record& theirs = *reply->record;
    const bool heals = local.damaged && local.record && theirs.dot == local.record->dot;
    if (!local.record || heals || newer(theirs, *local.record))
      local = {.record = theirs, .damaged = false};
  }
  if (local.damaged) return tl::unexpected(damaged_value(collection, key));
  const Dot dot = local.record ? local.record->dot : Dot();
  if (local.record && !visible(*local.record, parts_.clock.wall())) local.record.reset();
  return Found{std::move(local.record), reply != nullptr ? reply->partial : !healthy(), dot};
}

void Database::read(Bytes collection, Bytes key, ReadFrom from, FoundDone done) {
  if (auto status = member(); !status) return done(tl::unexpected(status.error()));
  auto local = held(collection, key);
  if (!local) return done(tl::unexpected(local.error()));
  const bool knows = healthy() && local->record && !local->damaged;
  if (knows || from == ReadFrom::here || !asks_others(collection))
    return done(found(collection, key, std::move(*local), nullptr));
  ask(collection, key,
      [this, name = std::string(collection), key = std::string(key), local = std::move(*local),
       done = std::move(done)](const FanoutReply& reply) {
        done(found(name, key, local, &reply));
      });
}

Database::Place Database::place(Bytes collection) const {
  Place place{.collection = parts_.catalog.find(collection)};
  if (place.collection != nullptr)
    place.ttl_milliseconds = parts_.catalog.config(collection).ttl_milliseconds;
  return place;
}

bool Database::read_at_once(const Place& place, const HashedKey& key,
                            FunctionRef<void(const RecordView*)> show) {
  if (!healthy() || !belongs()) return false;
  const bool absence_known = knows_all();
  if (place.collection == nullptr) {
    if (absence_known) show(nullptr);
    return absence_known;
  }
  bool known = false;
  const WallMilliseconds now = parts_.clock.wall();
  const Status read = place.collection->read(key, [&](const RecordView* held) {
    known = held != nullptr ? !held->damaged : absence_known;
    if (known) show(held != nullptr && visible(*held, now) ? held : nullptr);
  });
  return read && known;
}

// --- Writes ---------------------------------------------------------------------------------

Position Database::configurations_written() {
  Position last = 0;
  for (auto& written : parts_.catalog.take_written()) {
    last = std::max(last, written.position);
    parts_.driver.wrote(parts_.catalog.configurations(), written.record, written.position);
  }
  return last;
}

Result<Written> Database::write(Collection& collection, const WriteRequest& request,
                                WallMilliseconds now) {
  auto written = parts_.writer.write(collection, request, now);
  if (written) wrote(collection, request, *written);
  return written;
}

void Database::wrote(const Collection& collection, const WriteRequest& request,
                     const Written& written) {
  last_written_ = written.position;
  if (unheard()) {
    publish_later(collection, request, written);
  } else {
    publish();
    parts_.driver.wrote(collection, request.key, view_of(request, written), written.previous,
                        written.position);
  }
  if (parts_.events != nullptr && parts_.events->any())
    parts_.events->wrote(collection.ref().name, request.key, request.deletes, !written.existed);
}

void Database::publish_later(const Collection& collection, const WriteRequest& request,
                             const Written& written) {
  if (unpublished_.collection != &collection) {
    publish();
    unpublished_.collection = &collection;
    unpublished_.ref = collection.ref();
  }
  unpublished_.record.key = request.key;
  copy_record(request, written, unpublished_.record.record);
  unpublished_.position = written.position;
}

void Database::publish() {
  if (unpublished_.collection == nullptr) return;
  const Collection* const written = std::exchange(unpublished_.collection, nullptr);
  const Collection* const here = parts_.catalog.find(unpublished_.ref.name);
  if (here != written || here->ref() != unpublished_.ref) return;  // It was dropped meanwhile.
  parts_.driver.wrote(*here, unpublished_.record, unpublished_.position);
}

Result<Written> Database::set(Bytes collection, Bytes key, Bytes value, const SetOptions& options) {
  if (auto status = options.copies ? member() : writable(); !status)
    return tl::unexpected(status.error());
  const WallMilliseconds now = parts_.clock.wall();
  const auto target = parts_.catalog.find_or_create(collection, now);
  configurations_written();  // Has a lower position than the write below.
  if (!target) return tl::unexpected(target.error());
  const std::uint64_t ttl =
      options.ttl_milliseconds.value_or(parts_.catalog.config(collection).ttl_milliseconds);
  return write(**target,
               {.key = key,
                .value = value,
                .attributes = options.attributes,
                .deadline = ttl == 0 ? 0 : now + ttl,
                .blind = options.blind && !tells_of_new_keys(),
                .if_absent = options.if_absent,
                .if_version = options.if_version,
                .above_hlc = options.above_hlc},
               now);
}

Result<Written> Database::set_at_once(const Place& place, const HashedKey& key, Bytes value,
                                      Bytes attributes, Tells tells) {
  if (!belongs() || parts_.view.fenced.get()) return tl::unexpected(writable().error());
  const WallMilliseconds now = parts_.clock.wall();
  return write(*place.collection,
               {.key = key.bytes,
                .hash = key.hash,
                .value = value,
                .attributes = attributes,
                .deadline = place.ttl_milliseconds == 0 ? 0 : now + place.ttl_milliseconds,
                .blind = tells == Tells::nothing && !tells_of_new_keys()},
               now);
}

Result<std::optional<Written>> Database::change(Bytes collection, const HashedKey& key,
                                                RecordWriter::Decide decide) {
  if (auto status = writable(); !status) return tl::unexpected(status.error());
  const WallMilliseconds now = parts_.clock.wall();
  Collection* target = parts_.catalog.find(collection);
  if (target == nullptr) {
    Change change;
    if (!decide(nullptr, change)) return std::optional<Written>();
    const auto made = parts_.catalog.find_or_create(collection, now);
    configurations_written();
    if (!made) return tl::unexpected(made.error());
    target = *made;
  }
  const std::uint64_t ttl = parts_.catalog.config(collection).ttl_milliseconds;
  WriteRequest request{.key = key.bytes, .hash = key.hash};
  bool adds = false;
  auto written =
      parts_.writer.change(*target, key, now, [&](const RecordView* held, Change& change) {
        if (held == nullptr && ttl != 0) change.deadline = now + ttl;
        if (!decide(held, change)) return false;
        adds = change.adds.has_value();
        const bool keeps_value = adds || is_value_of(held, change) || change.attributes.empty();
        // What it borrows from the record that was there is gone when peers are told.
        changed_value_.assign(change.deletes ? Bytes() : change.value);
        changed_attributes_.assign(change.deletes ? Bytes() : change.attributes);
        // It was said of the write that is replaced, not of this one.
        if (!changed_attributes_.empty())
          changed_attributes_ = without_attribute(changed_attributes_, attribute_not_for_nkvd);
        if (!keeps_value) changed_attributes_ = without_counter(changed_attributes_);
        change.value = request.value = changed_value_;
        change.attributes = request.attributes = changed_attributes_;
        request.deletes = change.deletes;
        return true;
      });
  if (adds) request.attributes = parts_.writer.counted_attributes();
  if (written && *written) wrote(*target, request, **written);
  if (changed_value_.capacity() > changed_bytes_kept) changed_value_ = {};
  return written;
}

bool Database::asks_before_condition(Bytes collection, Bytes key) {
  if (!asks_others(collection)) return false;
  const auto local = held(collection, key);
  return !healthy() || !local || !local->record;
}

// As anti-entropy would bring it.
Status Database::take_in(Bytes collection, Bytes key, const Record& record) {
  const WallMilliseconds now = parts_.clock.wall();
  const auto target = parts_.catalog.find_or_create(collection, now);
  configurations_written();
  if (!target) return tl::unexpected(target.error());
  const auto pulled = parts_.writer.pull(**target, {{std::string(key), record}}, now);
  publish();  // What was written before goes first.
  parts_.driver.took_in(**target);
  parts_.driver.keep_losers(**target, now);
  return pulled ? Status() : tl::unexpected(pulled.error());
}

Result<bool> Database::read_with(Bytes collection, const HashedKey& key, const Brought* brought,
                                 FunctionRef<void(const RecordView*)> show) {
  if (brought == nullptr && read_at_once(place(collection), key, show)) return true;
  if (auto status = member(); !status) return tl::unexpected(status.error());
  auto local = held(collection, key.bytes);
  if (!local) return tl::unexpected(local.error());
  const bool knows = healthy() && local->record && !local->damaged;
  if (brought == nullptr && !knows && asks_others(collection)) return false;
  FanoutReply reply;
  if (brought != nullptr) reply.record = *brought;
  const auto newest =
      found(collection, key.bytes, std::move(*local), brought != nullptr ? &reply : nullptr);
  if (!newest) return tl::unexpected(newest.error());
  if (!newest->record) {
    show(nullptr);
    return true;
  }
  const RecordView view = view_of(*newest->record);
  show(&view);
  return true;
}

Result<Database::Removed> Database::bury(Bytes collection, Bytes key, const Burial& burial) {
  const WallMilliseconds now = parts_.clock.wall();
  const auto target = parts_.catalog.find_or_create(collection, now);
  configurations_written();
  if (!target) return tl::unexpected(target.error());
  const auto written = write(
      **target,
      {.key = key, .deletes = true, .attributes = burial.attributes, .above_hlc = burial.above_hlc},
      now);
  if (!written) return tl::unexpected(written.error());
  return Removed{burial.existed, written->position, written->dot};
}

// A tombstone is written where there is something to delete, and where there may be: some node
// that could hold the key did not answer, and its copy must lose when it comes back.
Result<Database::Removed> Database::remove_answered(const std::string& collection,
                                                    const std::string& key,
                                                    const RemoveOptions& options,
                                                    const FanoutReply& reply) {
  auto newest = held(collection, key);
  if (!newest) return tl::unexpected(newest.error());
  std::optional<Record>& record = newest->record;
  if (reply.record && (!record || newer(*reply.record, *record))) record = reply.record;
  const bool existed = newest->damaged || (record && visible(*record, parts_.clock.wall()));
  if (!existed && !reply.partial) return Removed{.dot = record ? record->dot : Dot()};
  return bury(collection, key,
              {.existed = existed,
               .above_hlc = record ? record->version.hlc : 0,
               .attributes = options.attributes});
}

void Database::remove(Bytes collection, Bytes key, const RemoveOptions& options, RemovedDone done) {
  if (auto status = writable(); !status) return done(tl::unexpected(status.error()));
  const auto local = held(collection, key);
  if (!local) return done(tl::unexpected(local.error()));
  const auto& [record, damaged] = *local;
  if (knows_all() || (healthy() && record && !damaged)) {
    const bool existed = damaged || (record && visible(*record, parts_.clock.wall()));
    return done(existed ? bury(collection, key, {.existed = true, .attributes = options.attributes})
                        : Result<Removed>(Removed{.dot = record ? record->dot : Dot()}));
  }
  ask(collection, key,
      [this, name = std::string(collection), key = std::string(key), options,
       done = std::move(done)](const FanoutReply& reply) {
        done(remove_answered(name, key, options, reply));
      });
}

// --- Collections ----------------------------------------------------------------------------

Result<Position> Database::flush(Bytes collection) {
  if (auto status = writable(); !status) return tl::unexpected(status.error());
  auto flushed = flush_here(collection);
  if (flushed) tell_cleared(collection);
  return flushed;
}

void Database::tell_cleared(Bytes collection) const {
  if (parts_.cleared && collection == default_collection) parts_.cleared();
}

Result<Position> Database::flush_here(Bytes collection) {
  if (auto status = member(); !status) return tl::unexpected(status.error());
  Collection* target = parts_.catalog.find(collection);
  if (target == nullptr || system_collection_name(collection))
    return fail(ErrorCode::not_found, "there is no collection '" + std::string(collection) + "'");
  Context flushed = target->seen();
  auto position = parts_.writer.apply_flush(*target, flushed);
  if (!position) return position;
  last_written_ = *position;
  parts_.driver.flushed(*target, std::move(flushed), *position);
  return position;
}

Result<Position> Database::create(Bytes collection, const CollectionConfig& config) {
  if (auto status = writable(); !status) return tl::unexpected(status.error());
  const auto made = parts_.catalog.create(collection, config, parts_.clock.wall());
  const Position position = configurations_written();
  if (!made) return tl::unexpected(made.error());
  return position;
}

Result<Position> Database::drop(Bytes collection) {
  if (auto status = writable(); !status) return tl::unexpected(status.error());
  const Status dropped = parts_.catalog.drop(collection, parts_.clock.wall());
  const Position position = configurations_written();
  if (!dropped) return tl::unexpected(dropped.error());
  last_written_ = std::max(last_written_, position);
  tell_cleared(collection);
  return position;
}

}  // namespace dhrt
