#include "tests/bench/storage/session.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "storage/base/random.h"
#include "storage/base/system_clock.h"

namespace dhrt::bench {

EngineOptions quiet_options(const std::string& directory) {
  EngineOptions options;
  options.directory = directory;
  options.node = 1;
  options.durability = Durability::none;
  options.cache_bytes = std::size_t{8} << 30;
  options.checkpoint_bytes = std::size_t{64} << 30;
  options.checkpoint_age = Duration(24LL * 3600 * 1000);
  options.unflushed_max = std::size_t{64} << 30;
  return options;
}

Result<std::unique_ptr<Session>> Session::open(EngineOptions options, bool memory,
                                               std::size_t value_bytes) {
  std::unique_ptr<Session> session(new Session);
  Waiter* waiter = &session->waiter_;
  options.wake = {[waiter] { waiter->wake(); }};
  session->origin_ = {options.node, options.run, 0};
  if (!options.directory.empty()) std::filesystem::create_directories(options.directory);
  auto engine = Engine::open(options);
  if (!engine) return tl::unexpected(engine.error());
  session->engine_ = std::move(*engine);
  auto collection =
      session->store().open({CollectionRef{std::string(default_collection), 1}, memory});
  if (!collection) return tl::unexpected(collection.error());
  session->collection_ = *collection;
  session->hlc_ = std::max((*collection)->highest_hlc(), wall_now() << hlc_counter_bits);
  session->value_.assign(value_bytes, 'x');
  return session;
}

Status Session::put_one(const HashedKey& hashed) {
  const auto position = store().update(
      *collection_, hashed, Store::Joins::seen, [&](const RecordView* held, RecordView& put) {
        hlc_ = std::max(hlc_, held != nullptr ? held->version.hlc : 0);
        put.version = {hlc_ + 1, origin_.node};
        put.dot = {origin_, sequence_ + 1};
        put.value = value_;
        return true;
      });
  if (!position) return tl::unexpected(position.error());
  ++hlc_;
  ++sequence_;
  last_ = *position;
  return {};
}

Status Session::end_turn(bool waits) {
  store().commit();
  Position durable = store().collect();
  if (waits) {
    waiter_.wait_until([&] {
      durable = store().collect();
      return durable >= last_ || !store().health();
    });
  }
  static_cast<void>(store().take_changed());
  return store().health();
}

// Hashes and prefetches what the turn is about.
void Session::take_keys(std::array<std::uint64_t, batch_keys> numbers, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    write_random_key(numbers[i], keys_[i]);
    const HashedKey hashed(keys_[i]);
    hashes_[i] = hashed.hash;
    collection_->prefetch(hashed);
  }
}

Status Session::put(std::uint64_t first, std::uint64_t count, std::size_t group, bool waits) {
  std::array<std::uint64_t, batch_keys> numbers{};
  for (std::uint64_t done = 0; done < count;) {
    const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(group, count - done));
    for (std::size_t i = 0; i < now; ++i)
      numbers[i] = first + done + i;
    take_keys(numbers, now);
    for (std::size_t i = 0; i < now; ++i)
      if (auto status = put_one(key(i)); !status) return status;
    if (auto ended = end_turn(waits); !ended) return ended;
    done += now;
  }
  return {};
}

Status Session::overwrite(std::uint64_t count, std::uint64_t keyspace, std::uint64_t seed) {
  Random random(seed);
  std::array<std::uint64_t, batch_keys> numbers{};
  for (std::uint64_t done = 0; done < count; done += batch_keys) {
    for (std::uint64_t& number : numbers)
      number = random.below(keyspace);
    take_keys(numbers, batch_keys);
    for (std::size_t i = 0; i < batch_keys; ++i)
      if (auto status = put_one(key(i)); !status) return status;
    if (auto ended = end_turn(false); !ended) return ended;
  }
  return {};
}

Status Session::get(std::uint64_t count, std::uint64_t keyspace, std::uint64_t seed) {
  Random random(seed);
  std::array<std::uint64_t, batch_keys> numbers{};
  for (std::uint64_t done = 0; done < count; done += batch_keys) {
    for (std::uint64_t& number : numbers)
      number = random.below(keyspace);
    take_keys(numbers, batch_keys);
    std::size_t found = 0;
    for (std::size_t i = 0; i < batch_keys; ++i) {
      const auto shown = collection_->read(key(i), [&](const RecordView* record) {
        if (record != nullptr && record->value == value_) ++found;
      });
      if (!shown) return shown;
    }
    if (found != batch_keys) {
      return fail(ErrorCode::corrupt, std::to_string(batch_keys - found) +
                                          " of 64 keys that were written are not there");
    }
    store().commit();  // The end of a turn: read transactions are renewed.
  }
  return {};
}

Result<std::uint64_t> Session::scan() {
  std::uint64_t count = 0;
  ScanRequest request;
  request.now = wall_now();
  while (true) {
    auto slice = collection_->scan(request);
    if (!slice) return tl::unexpected(slice.error());
    count += slice->records.size();
    if (!slice->next) return count;
    request.from = std::move(*slice->next);
  }
}

}  // namespace dhrt::bench
