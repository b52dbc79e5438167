#include "node/store_driver.h"

#include <algorithm>
#include <utility>

namespace dhrt {

StoreChanged StoreDriver::changed(const Collection& collection) const {
  return {collection.ref(), options_.mutate_report_early ? collection.seen() : collection.durable(),
          collection.flushed()};
}

void StoreDriver::announce(std::vector<Input>& inputs) {
  for (const Collection* collection : store_.collections())
    inputs.emplace_back(changed(*collection));
}

bool StoreDriver::perform(const Action& action, WallMilliseconds now, std::vector<Input>& inputs) {
  if (const auto* records = std::get_if<ApplyRecords>(&action))
    apply(*records, now, inputs);
  else if (const auto* context = std::get_if<MergeContext>(&action))
    merge(*context, inputs);
  else if (const auto* key = std::get_if<ReadLocal>(&action))
    read(*key, inputs);
  else if (const auto* range = std::get_if<WalkLocal>(&action))
    walk(*range, inputs);
  else
    return false;
  return true;
}

void StoreDriver::settle(Token token, const Result<Position>& position,
                         std::vector<Input>& inputs) {
  if (token == 0) return;
  if (position)
    applying_.emplace(*position, token);
  else
    inputs.emplace_back(Applied{token, false});
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
  if (position && !action.records.empty())
    position = action.kind == ApplyKind::push ? writer_.push(**collection, action.records, now)
                                              : writer_.pull(**collection, action.records, now);
  if (position && action.collection.name == configuration_collection) {
    if (const Status status = catalog_.refresh(action.records); !status)
      position = tl::unexpected(status.error());
  }
  if (options_.mutate_report_early) inputs.emplace_back(changed(**collection));
  settle(action.token, position, inputs);
}

void StoreDriver::merge(const MergeContext& action, std::vector<Input>& inputs) {
  const auto collection = catalog_.for_peer(action.collection);
  if (!collection || *collection == nullptr) {
    inputs.emplace_back(Applied{action.token, collection.has_value()});
    return;
  }
  settle(action.token, writer_.merge(**collection, action.vector), inputs);
}

void StoreDriver::read(const ReadLocal& action, std::vector<Input>& inputs) {
  LocalRead answer{.token = action.token};
  if (Collection* collection = store_.find(action.collection)) {
    auto found = collection->find(action.key);
    answer.ok = found && !(*found && (*found)->damaged);
    if (answer.ok) answer.record = std::move(*found);
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

void StoreDriver::wrote(const Collection& collection, KeyedRecord record, Position position) {
  Local local{.collection = collection.ref()};
  local.records.push_back(std::move(record));
  local_.emplace(position, std::move(local));
}

void StoreDriver::flushed(const Collection& collection, Context context, Position position) {
  local_.emplace(position, Local{.collection = collection.ref(), .flushed = std::move(context)});
}

Position StoreDriver::collect(StoreNews& news) {
  for (auto& written : catalog_.take_written())
    wrote(catalog_.configurations(), std::move(written.record), written.position);
  const Position durable = store_.collect();
  const auto local_end = local_.upper_bound(durable);
  for (auto entry = local_.begin(); entry != local_end; ++entry) {
    Local& local = entry->second;
    LocalWrites& writes = news.writes[local.collection];
    writes.collection = local.collection;
    std::ranges::move(local.records, std::back_inserter(writes.records));
    writes.flushed.merge(local.flushed);
  }
  local_.erase(local_.begin(), local_end);
  return durable;
}

Position StoreDriver::collect(std::vector<Input>& inputs) {
  StoreNews news = std::exchange(brought_, {});
  const Position durable = collect(news);
  for (CollectionRef& ref : catalog_.take_gone())
    inputs.emplace_back(CollectionGone{std::move(ref)});
  for (const std::string& name : store_.take_changed()) {
    if (const Collection* collection = store_.find(name)) inputs.emplace_back(changed(*collection));
  }
  for (auto& [collection, writes] : news.writes)
    inputs.emplace_back(std::move(writes));

  const auto applied_end = applying_.upper_bound(durable);
  for (auto entry = applying_.begin(); entry != applied_end; ++entry)
    inputs.emplace_back(Applied{entry->second, true});
  applying_.erase(applying_.begin(), applied_end);
  return durable;
}

void StoreNews::add(StoreNews later) {
  for (auto& [collection, more] : later.writes) {
    LocalWrites& known = writes[collection];
    known.collection = collection;
    std::ranges::move(more.records, std::back_inserter(known.records));
    known.flushed.merge(more.flushed);
  }
}

void StoreNews::keep_last_writes() {
  for (auto& [collection, known] : writes) {
    if (known.records.size() > 1) known.records.erase(known.records.begin(), --known.records.end());
  }
}

}  // namespace dhrt
