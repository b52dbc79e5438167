#include "cluster/durable_reads.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace dhrt {

namespace {

// Of all peers; our own nodes never come near it.
constexpr std::size_t reads_max = 100000;
constexpr auto any_sequence = std::numeric_limits<std::uint64_t>::max();

}  // namespace

bool DurableReads::is_durable(const CollectionRef& collection, const Dot& dot, bool flushed) const {
  if (flushed) {
    const Context* flushes = synchronizer_.flushed(collection);
    if (flushes == nullptr || !flushes->contains(dot)) return false;
  }
  const Context* durable = synchronizer_.durable(collection);
  return (durable != nullptr && durable->contains(dot)) || stored_.contains({collection, dot});
}

void DurableReads::ask(Asked asked, const Step& step) {
  const Token token = ++tokens_ | token_bit;
  step.actions.emplace_back(ReadLocal{token, asked.collection, asked.key, true});
  asked_[token] = std::move(asked);
}

void DurableReads::read(const Asker& asker, const DurableRead& read, const Step& step) {
  // The asker's time-out answers.
  if (asked_.size() + waiting_count_ >= reads_max) return;
  ask({asker, read.collection, read.key, read.want, step.now + options_.read_timeout}, step);
}

std::vector<DurableReads::Answer> DurableReads::local_read(const LocalRead& read) {
  const auto found = asked_.find(read.token);
  if (found == asked_.end()) return {};
  Asked asked = std::move(found->second);
  asked_.erase(found);
  if (!read.ok) return {};  // What it does not know is no answer.
  Answer answer{asked.asker, read.generation, read.record, read.forgotten};
  if (answer.record && asked.want == ReadWant::version) {
    answer.record->value.clear();
    answer.record->attributes.clear();
  }
  const CollectionRef collection{asked.collection, read.generation};
  if (!answer.record || is_durable(collection, answer.record->dot, read.flushed))
    return {std::move(answer)};
  const Dot dot = answer.record->dot;
  wait(collection, {std::move(asked), std::move(answer), read.flushed}, dot);
  return {};
}

void DurableReads::wait(const CollectionRef& collection, Waiting waiting, const Dot& dot) {
  const Record& record = *waiting.answer.record;
  waiting.bytes = record.value.size() + record.attributes.size();
  if (waiting_bytes_ + waiting.bytes > options_.durable_reads_bytes_max) {
    waiting.answer.record.reset();
    waiting.bytes = 0;
  }
  waiting_bytes_ += waiting.bytes;
  ++waiting_count_;
  waiting_[collection][dot].push_back(std::move(waiting));
}

void DurableReads::forget(const Waiting& waiting) {
  waiting_bytes_ -= waiting.bytes;
  --waiting_count_;
}

// Writes of one origin become durable in their order, so those behind the first that is not are not
// looked at. Where others' come with gaps, a tick looks at all.
std::vector<DurableReads::Waiting> DurableReads::take_durable(const CollectionRef& collection,
                                                              OfCollection& waiting,
                                                              bool looks_at_all) {
  std::vector<Waiting> ready;
  for (auto entry = waiting.begin(); entry != waiting.end();) {
    const Dot dot = entry->first;
    std::vector<Waiting>& held = entry->second;
    const auto rest = std::partition(held.begin(), held.end(), [&](const Waiting& one) {
      return !is_durable(collection, dot, one.flushed);
    });
    std::move(rest, held.end(), std::back_inserter(ready));
    held.erase(rest, held.end());
    if (held.empty())
      entry = waiting.erase(entry);
    else
      entry = looks_at_all ? std::next(entry) : waiting.upper_bound({dot.origin, any_sequence});
  }
  return ready;
}

std::vector<DurableReads::Answer> DurableReads::store_changed(const CollectionRef& collection,
                                                              const Step& step) {
  return look(collection, false, step);
}

std::vector<DurableReads::Answer> DurableReads::look(const CollectionRef& collection,
                                                     bool looks_at_all, const Step& step) {
  const auto found = waiting_.find(collection);
  if (found == waiting_.end()) return {};
  std::vector<Answer> answers;
  for (Waiting& waiting : take_durable(collection, found->second, looks_at_all)) {
    forget(waiting);
    if (waiting.answer.record)
      answers.push_back(std::move(waiting.answer));
    else
      ask(std::move(waiting.asked), step);
  }
  if (found->second.empty()) waiting_.erase(found);
  return answers;
}

void DurableReads::collection_gone(const CollectionRef& collection) {
  const auto found = waiting_.find(collection);
  if (found == waiting_.end()) return;
  for (const auto& [dot, all] : found->second) {
    for (const Waiting& waiting : all)
      forget(waiting);
  }
  waiting_.erase(found);
}

void DurableReads::store(const Asker& asker, const StoreRecord& store, const Step& step) {
  if (storing_.size() >= reads_max) return;
  const Token token = ++tokens_ | token_bit;
  storing_[token] = {asker, store.collection, store.record.record.dot};
  step.actions.emplace_back(ApplyRecords{token, store.collection, {store.record}, {}});
}

std::optional<DurableReads::Stored> DurableReads::applied(const Applied& applied,
                                                          const Step& step) {
  const auto found = storing_.find(applied.token);
  if (found == storing_.end()) return std::nullopt;
  Storing storing = std::move(found->second);
  storing_.erase(found);
  if (applied.ok && !storing.merging && !is_durable(storing.collection, storing.dot, false)) {
    const Token token = ++tokens_ | token_bit;
    Context itself;
    itself.add(storing.dot);
    step.actions.emplace_back(MergeContext{token, storing.collection, std::move(itself)});
    storing.merging = true;
    storing_[token] = std::move(storing);
    return std::nullopt;
  }
  if (applied.ok && storing.merging) remember({storing.collection, storing.dot});
  return Stored{storing.asker, applied.ok};
}

void DurableReads::remember(StoredDot stored) {
  if (!stored_.insert(stored).second) return;
  stored_order_.push_back(std::move(stored));
  if (stored_order_.size() <= options_.stored_dots_max) return;
  stored_.erase(stored_order_.front());
  stored_order_.pop_front();
}

std::vector<DurableReads::Answer> DurableReads::tick(const Step& step) {
  std::vector<CollectionRef> collections;
  for (auto& [collection, of_collection] : waiting_) {
    collections.push_back(collection);
    for (auto& [dot, all] : of_collection) {
      std::erase_if(all, [&](const Waiting& waiting) {
        const bool is_over = step.now >= waiting.asked.until;
        if (is_over) forget(waiting);
        return is_over;
      });
    }
    std::erase_if(of_collection, [](const auto& entry) { return entry.second.empty(); });
  }
  std::vector<Answer> answers;
  for (const CollectionRef& collection : collections)
    std::ranges::move(look(collection, true, step), std::back_inserter(answers));
  std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
  return answers;
}

}  // namespace dhrt
