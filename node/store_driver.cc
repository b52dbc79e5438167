#include "node/store_driver.h"

#include <algorithm>
#include <utility>

#include "cluster/comparison.h"

namespace dhrt {

namespace {

constexpr std::size_t pushed_at_once = 64;
// Each slice is a look at every part of the collection in memory; the first ones bring it into
// order.
constexpr std::size_t fetched_slice_records = 256;
// Clients wait meanwhile: in memory 16 of one key each take 1.5 ms, and 6 ms of 256.
constexpr unsigned fetched_slices_max = 16;
// One key in a hundred is hot, and one of few.
constexpr std::uint64_t hot_share = 100;
constexpr WallMilliseconds forgotten_ahead_max = WallMilliseconds{366} * 24 * 3'600'000;
// About what stands around a key and a value.
constexpr std::size_t record_overhead_bytes = 64;
// Who writes to more collections by turns has more messages.
constexpr std::ptrdiff_t looked_back_at = 8;
// The same between begin_together() and its end: what goes on to more collections than these has
// several messages for some of them.
constexpr std::ptrdiff_t together_looked_back_at = 256;

}  // namespace

std::uint64_t believed_forgotten_hlc(std::uint64_t told, WallMilliseconds now) {
  return std::min(told, (now + forgotten_ahead_max) << hlc_counter_bits);
}

StoreChanged StoreDriver::changed(const Collection& collection) const {
  return {collection.ref(), options_.mutate_report_early ? collection.seen() : collection.durable(),
          collection.flushed()};
}

void StoreDriver::announce(std::vector<Input>& inputs) {
  for (const Collection* collection : store_.collections())
    inputs.emplace_back(changed(*collection));
}

bool StoreDriver::perform(const Action& action, WallMilliseconds now, std::vector<Input>& inputs) {
  if (const auto* write = std::get_if<ApplyWrite>(&action))
    apply(*write, now, inputs);
  else if (const auto* records = std::get_if<ApplyRecords>(&action))
    apply(*records, now, inputs);
  else if (const auto* context = std::get_if<MergeContext>(&action))
    merge(*context, now, inputs);
  else if (const auto* key = std::get_if<ReadLocal>(&action))
    read(*key, inputs);
  else if (const auto* range = std::get_if<WalkLocal>(&action))
    walk(*range, inputs);
  else if (const auto* keys = std::get_if<RangeLocal>(&action))
    list(*keys, inputs);
  else if (const auto* some = std::get_if<FetchLocal>(&action))
    fetch(*some, inputs);
  else if (const auto* found = std::get_if<MendRecords>(&action))
    mend(*found, now, inputs);
  else if (const auto* dots = std::get_if<ForgetTombstones>(&action))
    forget(*dots, now);
  else
    return false;
  return true;
}

void StoreDriver::settle(std::multimap<Position, Token>& applying, Token token,
                         const Result<Position>& position, std::vector<Input>& inputs) {
  if (token == 0) return;
  if (position)
    applying.emplace(*position, token);
  else
    inputs.emplace_back(Applied{token, false});
}

// Nobody waits for it: what cannot be stored is missed, and anti-entropy brings it.
void StoreDriver::apply(const ApplyWrite& action, WallMilliseconds now,
                        std::vector<Input>& inputs) {
  const auto collection = catalog_.for_peer(action.collection);
  if (!collection || *collection == nullptr) return;
  if (!action.flushed.empty() && !(*collection)->flushed().contains(action.flushed)) {
    if (!writer_.apply_flush(**collection, action.flushed)) return;
  }
  if (action.records != nullptr && push(**collection, *action.records, now, action.may_join) &&
      action.collection.name == configuration_collection) {
    // A configuration that cannot be taken in is looked at again with the next one, or a start.
    static_cast<void>(catalog_.refresh(action.records->records()));
  }
  keep_losers(**collection, now);
  if (action.records != nullptr) show(action.collection, *action.records);
  if (options_.mutate_report_early) inputs.emplace_back(changed(**collection));
}

const std::map<std::string, std::uint64_t>& StoreDriver::conflicts() const {
  static const std::map<std::string, std::uint64_t> none;
  return conflicts_ ? conflicts_->counts() : none;
}

// They are writes of this node: the others get them as such.
void StoreDriver::keep_losers(Collection& collection, WallMilliseconds now) {
  if (!conflicts_) return;
  conflicts_->write_kept(collection, now, [&](const WriteRequest& request, const Written& written) {
    wrote(collection, request.key, view_of(request, written), written.previous, written.position);
  });
}

void StoreDriver::show(const CollectionRef& collection, const RecordBatch& records) const {
  if (observer_ == nullptr || !observer_->wants(collection)) return;
  RecordBatch::Cursor cursor(records);
  KeyedView view;
  while (cursor.next(view))
    observer_->changed(view.key);
}

Result<Position> StoreDriver::push(Collection& collection, const RecordBatch& records,
                                   WallMilliseconds now, bool may_join) {
  return put_by_group(collection, records,
                      [&] { return writer_.push(collection, pushed_, now, may_join); });
}

// Some at a time, so that what was decoded is in the cache when it is put.
Result<Position> StoreDriver::put_by_group(Collection& collection, const RecordBatch& records,
                                           FunctionRef<Result<Position>()> put) {
  RecordBatch::Cursor cursor(records);
  Result<Position> position = Position{0};
  do {
    pushed_.clear();
    KeyedView view;
    while (pushed_.size() < pushed_at_once && cursor.next(view))
      pushed_.push_back(view);
    if (!pushed_.empty()) position = put();
    took_in(collection);
  } while (position && pushed_.size() == pushed_at_once);
  return position;
}

void StoreDriver::apply(const ApplyRecords& action, WallMilliseconds now,
                        std::vector<Input>& inputs) {
  const auto collection = catalog_.for_peer(action.collection);
  if (!collection || *collection == nullptr) {
    // A life of the collection that is over: nothing is owed.
    if (action.token != 0) inputs.emplace_back(Applied{action.token, collection.has_value()});
    return;
  }
  Result<Position> position = Position{0};
  if (!action.flushed.empty() && !(*collection)->flushed().contains(action.flushed))
    position = writer_.apply_flush(**collection, action.flushed);
  if (action.heals) {
    for (const KeyedRecord& record : action.records) {
      if (position) position = writer_.heal(**collection, record, now);
    }
  } else if (position && !action.records.empty()) {
    position = writer_.pull(**collection, action.records, now, {action.donor, &action.vector});
  }
  if (!action.records.empty()) took_in(**collection);
  keep_losers(**collection, now);
  if (observer_ != nullptr && observer_->wants(action.collection)) {
    for (const KeyedRecord& entry : action.records)
      observer_->changed(entry.key);
  }
  if (position && action.collection.name == configuration_collection) {
    if (const Status status = catalog_.refresh(action.records); !status)
      position = tl::unexpected(status.error());
  }
  if (options_.mutate_report_early) inputs.emplace_back(changed(**collection));
  settle(action.donor == 0 ? applying_ : applying_slices_, action.token, position, inputs);
}

void StoreDriver::merge(const MergeContext& action, WallMilliseconds now,
                        std::vector<Input>& inputs) {
  const auto collection = catalog_.for_peer(action.collection);
  if (!collection || *collection == nullptr) {
    inputs.emplace_back(Applied{action.token, collection.has_value()});
    return;
  }
  const std::uint64_t hlc = believed_forgotten_hlc(action.forgotten_hlc, now);
  if (const Status noted = store_.note_forgotten(**collection, action.forgotten, hlc); !noted) {
    inputs.emplace_back(Applied{action.token, false});
    return;
  }
  settle(applying_, action.token, writer_.merge(**collection, action.vector), inputs);
}

void StoreDriver::read(const ReadLocal& action, std::vector<Input>& inputs) {
  LocalRead answer{.token = action.token};
  if (Collection* collection = store_.find(action.collection)) {
    answer.generation = collection->ref().generation;
    // Before the key is looked for: another loop may write it meanwhile.
    const Context seen =
        action.asks_forgotten && collection->keeps_all() ? collection->durable() : Context();
    auto found = collection->find(action.key);
    answer.ok = found && !(*found && (*found)->damaged);
    if (answer.ok) answer.record = std::move(*found);
    answer.flushed = answer.record && answer.record->deleted &&
                     collection->flushed().contains(answer.record->dot);
    const std::uint64_t forgotten = collection->forgotten_hlc();
    if (answer.ok && (!answer.record || answer.record->version.hlc < forgotten) && forgotten != 0)
      answer.forgotten = {seen, forgotten};
  }
  inputs.emplace_back(std::move(answer));
}

void StoreDriver::walk(const WalkLocal& action, std::vector<Input>& inputs) {
  Walked answer{.token = action.token};
  Collection* collection = store_.find(action.collection.name);
  if (collection != nullptr && collection->ref() == action.collection) {
    auto slice = collection->walk({.excluded = action.excluded,
                                   .from = action.from,
                                   .limits = {.bytes_max = action.bytes_max}});
    if (slice) {
      answer.ok = true;
      answer.records = std::move(slice->records);
      answer.next = slice->next;
      answer.vector = std::move(slice->durable);
    }
  }
  inputs.emplace_back(std::move(answer));
}

Collection* StoreDriver::find(const CollectionRef& ref) {
  Collection* collection = store_.find(ref.name);
  return collection != nullptr && collection->ref() == ref ? collection : nullptr;
}

void StoreDriver::list(const RangeLocal& action, std::vector<Input>& inputs) {
  Ranged answer{.token = action.token};
  const auto collection = catalog_.for_peer(action.collection);
  answer.gone = collection && *collection == nullptr;
  if (collection && !answer.gone) {
    auto slice =
        (*collection)
            ->range({.from = action.from,
                     .to = action.to,
                     .with_values = action.with_values,
                     .encoded = action.with_values,
                     .limits = {.records_max = action.records_max, .bytes_max = action.bytes_max}});
    if (slice) {
      answer.ok = true;
      answer.records = std::move(slice->records);
      if (!slice->batch.empty()) answer.batch = share(std::move(slice->batch));
      answer.next = std::move(slice->next);
      answer.vector = std::move(slice->durable);
      answer.forgotten = (*collection)->forgotten();
      answer.forgotten_hlc = (*collection)->forgotten_hlc();
      const CollectionCounts held = (*collection)->counts();
      answer.records_held = held.live + held.tombstones;
      answer.hot = (*collection)->hottest(std::min(action.hot_keys_max, 1 + held.live / hot_share));
    }
  }
  inputs.emplace_back(std::move(answer));
}

// In ranges, which show no write that could be lost. Where the keys lie close to each other, as
// they do that come from a listing, the ranges grow; where they lie apart each one is of a key.
void StoreDriver::fetch(const FetchLocal& action, std::vector<Input>& inputs) {
  Ranged answer{.token = action.token};
  const auto& keys = action.keys;
  Collection* const collection = std::ranges::is_sorted(keys) ? find(action.collection) : nullptr;
  auto wanted = keys.begin();
  std::string from = keys.empty() ? "" : keys.front();
  std::size_t bytes = 0;
  std::optional<Context> vector;
  std::size_t records_max = 1;
  for (unsigned slices = 0; collection != nullptr && slices < fetched_slices_max; ++slices) {
    if (wanted == keys.end() || bytes > action.bytes_max) break;
    auto slice =
        collection->range({.from = from,
                           .to = keys.back() + '\0',
                           .limits = {.records_max = records_max, .bytes_max = action.bytes_max}});
    if (!slice) {
      wanted = keys.begin();
      break;
    }
    keep_common(vector, slice->durable);
    const std::size_t had = answer.records.size();
    for (KeyedRecord& record : slice->records) {
      wanted = std::lower_bound(wanted, keys.end(), record.key);
      if (wanted == keys.end() || *wanted != record.key) continue;
      bytes += record.key.size() + record.record.value.size();
      answer.records.push_back(std::move(record));
      ++wanted;
    }
    const bool are_close = 2 * (answer.records.size() - had) >= slice->records.size();
    records_max = are_close ? std::min(2 * records_max, fetched_slice_records) : 1;
    wanted = slice->next ? std::lower_bound(wanted, keys.end(), *slice->next) : keys.end();
    if (wanted != keys.end()) from = std::max(*slice->next, *wanted);
  }
  answer.done = static_cast<std::uint32_t>(wanted - keys.begin());
  answer.ok = answer.done > 0;
  if (!answer.ok) answer.records.clear();
  if (vector) answer.vector = std::move(*vector);
  inputs.emplace_back(std::move(answer));
}

void StoreDriver::mend(const MendRecords& action, WallMilliseconds now,
                       std::vector<Input>& inputs) {
  const auto collection = catalog_.for_peer(action.collection);
  if (!collection || *collection == nullptr) {
    inputs.emplace_back(Applied{action.token, collection.has_value()});
    return;
  }
  const Result<Position> position = put_by_group(**collection, *action.records, [&] {
    return writer_.mend(**collection, pushed_, action.captured, action.seen_there, now);
  });
  keep_losers(**collection, now);
  if (!position) {
    inputs.emplace_back(Applied{action.token, false});
    return;
  }
  show(action.collection, *action.records);
  if (action.collection.name == configuration_collection) {
    if (!catalog_.refresh(action.records->records())) {
      inputs.emplace_back(Applied{action.token, false});
      return;
    }
  }
  if (options_.mutate_report_early) inputs.emplace_back(changed(**collection));
  settle(applying_slices_, action.token, position, inputs);
}

void StoreDriver::forget(const ForgetTombstones& action, WallMilliseconds now) {
  if (observer_ != nullptr && observer_->remembers_deletes(action.collection)) return;
  if (Collection* collection = find(action.collection))
    store_.forget_tombstones(*collection, {action.everywhere, now << hlc_counter_bits});
}

StoreDriver::Local& StoreDriver::open(const Collection& collection, std::size_t bytes) {
  const auto is_of_it = [&](const Local& local) { return local.collection == collection.ref(); };
  const std::ptrdiff_t since = together_from_ ? static_cast<std::ptrdiff_t>(*together_from_) : 0;
  const auto looked_at = std::min(together_from_ ? together_looked_back_at : looked_back_at,
                                  std::ssize(open_) - since);
  const std::size_t bytes_max = together_from_ ? together_bytes : message_bytes;
  const auto end = open_.rbegin() + looked_at;
  const auto last = std::find_if(open_.rbegin(), end, is_of_it);
  if (last != end) {
    const std::size_t held = last->records.bytes().size();
    if (held == 0 || bytes == 0 || held + bytes <= bytes_max) return *last;
  }
  return open_.emplace_back(Local{.collection = collection.ref()});
}

void StoreDriver::wrote(const Collection& collection, Bytes key, const RecordView& record,
                        const std::optional<Dot>& previous, Position position) {
  Local* local = &open(collection, key.size() + record.value.size() + record_overhead_bytes);
  if (!local->records.add(key, record, previous)) {
    // It names too many origins already.
    local = &open_.emplace_back(Local{.collection = collection.ref()});
    static_cast<void>(local->records.add(key, record, previous));
  }
  local->last = std::max(local->last, position);
}

void StoreDriver::took_in(const Collection& collection) {
  for (const Joined& joined : writer_.take_joined())
    wrote(collection, joined.entry, joined.position);
}

void StoreDriver::begin_together() {
  together_from_ = open_.size();
}

void StoreDriver::flushed(const Collection& collection, Context context, Position position) {
  Local& local = open(collection, 0);
  local.flushed.merge(context);
  local.last = std::max(local.last, position);
}

// A batch is told when its last write is durable; with the next turn begins another one, or it
// would never be.
void StoreDriver::close_all() {
  together_from_.reset();
  for (Local& local : open_) {
    if (!local_.empty()) local.last = std::max(local.last, local_.back().last);
    local_.push_back(std::move(local));
  }
  open_.clear();
}

Position StoreDriver::collect(StoreNews& news) {
  for (const auto& written : catalog_.take_written())
    wrote(catalog_.configurations(), written.record, written.position);
  const Position durable = store_.collect();
  close_all();
  for (; !local_.empty() && local_.front().last <= durable; local_.pop_front()) {
    Local& local = local_.front();
    news.writes.push_back(
        {.collection = std::move(local.collection),
         .records = local.records.empty() ? nullptr : share(std::move(local.records)),
         .flushed = std::move(local.flushed)});
  }
  return durable;
}

Position StoreDriver::collect(std::vector<Input>& inputs) {
  StoreNews news = std::exchange(brought_, {});
  const Position durable = collect(news);
  for (CollectionRef& ref : catalog_.take_gone()) {
    if (conflicts_) conflicts_->collection_gone(ref.name);
    inputs.emplace_back(CollectionGone{std::move(ref)});
  }
  for (const std::string& name : store_.take_changed()) {
    if (const Collection* collection = store_.find(name)) inputs.emplace_back(changed(*collection));
  }
  for (LocalWrites& writes : news.writes) {
    if (writes.records != nullptr) show(writes.collection, *writes.records);
    inputs.emplace_back(std::move(writes));
  }

  take_applied(applying_, durable, inputs);
  take_applied(applying_slices_, store_.collect_patiently(), inputs);
  return durable;
}

void StoreDriver::take_applied(std::multimap<Position, Token>& applying, Position stored,
                               std::vector<Input>& inputs) {
  const auto end = applying.upper_bound(stored);
  for (auto entry = applying.begin(); entry != end; ++entry)
    inputs.emplace_back(Applied{entry->second, true});
  applying.erase(applying.begin(), end);
}

void StoreNews::add(StoreNews later) {
  std::ranges::move(later.writes, std::back_inserter(writes));
}

void StoreNews::keep_last_writes() {
  std::vector<LocalWrites> last;
  for (LocalWrites& next : writes) {
    const auto known = std::ranges::find(last, next.collection, &LocalWrites::collection);
    if (known == last.end()) {
      last.push_back(std::move(next));
      continue;
    }
    if (next.records != nullptr) known->records = std::move(next.records);
    known->flushed.merge(next.flushed);
  }
  writes = std::move(last);
}

}  // namespace dhrt
