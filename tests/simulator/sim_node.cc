#include "tests/simulator/sim_node.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace dhrt::simulator {

namespace {

constexpr std::uint64_t tick_milliseconds = 100;
constexpr Duration greeting_timeout = 5s;
// Longer than any clock here is wrong: as if nothing were cut off.
constexpr WallMilliseconds unclamped_milliseconds = WallMilliseconds{1} << 40;

CounterMistake counter_mistake(Mutant mutant) {
  switch (mutant) {
    case Mutant::counter_last_writer:
      return CounterMistake::last_writer;
    case Mutant::counter_any_base:
      return CounterMistake::any_base;
    case Mutant::counter_in_place:
      return CounterMistake::in_place;
    case Mutant::counter_join_replaced:
      return CounterMistake::replaced;
    default:
      return CounterMistake::none;
  }
}

}  // namespace

SimNode::SimNode(NodeIndex index, World& world) : index_(index), world_(world) {
  store_ = make_memory_store(
      {.held_back = true, .forget_tombstones = world.options.mutant == Mutant::no_tombstone});
  if (world.options.skew) {
    wall_clock_.jump(static_cast<std::int64_t>(world.random.below(7'200'000)) - 3'600'000);
    ++world.totals.skewed;
  }
}

void SimNode::start() {
  check(!up(), "a node that runs is not started");
  ++life_;
  leaving_ = gone_ = false;
  paused_until_ = noted_ = {};
  if (world_.options.mutant != Mutant::reuse_sequence || epoch_ == 0) ++epoch_;
  incarnation_ = std::max<std::uint64_t>(incarnation_ + 1, wall());

  clock_ = std::make_unique<HybridClock>(world_.options.mutant == Mutant::no_clamp
                                             ? unclamped_milliseconds
                                             : default_clock_offset_max);
  if (world_.options.mutant == Mutant::no_bump) clock_->mutate_no_bump();
  writer_ = std::make_unique<RecordWriter>(
      *store_, *clock_, Origin{id(), epoch_, 0},
      WriterOptions{.mistake = counter_mistake(world_.options.mutant)});
  catalog_ = std::make_unique<Catalog>(*store_, *writer_, CatalogOptions{});
  check(catalog_->load(wall()).has_value(), "a memory store loads");
  for (const Collection* collection : store_->collections())
    clock_->observe(collection->highest_hlc(), wall());
  driver_ = std::make_unique<StoreDriver>(
      *store_, *catalog_, *writer_,
      StoreDriverOptions{.mutate_report_early = world_.options.mutant == Mutant::report_early});
  driver_->note_conflicts();
  conflict_check_.emplace(world_, *writer_);

  CoreOptions options;
  options.self = {.id = id(),
                  .name = "node" + std::to_string(index_),
                  .address = Network::address_of(index_),
                  .epoch = epoch_,
                  .incarnation = incarnation_};
  options.identity = {.belonging = kept_.belonging,
                      .start_nonce = world_.random.next(),
                      .seeds = {Network::address_of(0)}};
  options.known = kept_.members;
  options.compared = kept_.compared;
  options.layout = kept_.layout;
  options.random_seed = world_.random.next();
  // Slices of a record or two, so that a pull takes many turns.
  options.cluster.pull_slice_bytes = static_cast<std::uint32_t>(world_.random.between(1, 400));
  // Some ask for no more than what a slice or two have brought is stored.
  if (options.cluster.pull_slice_bytes % 4 == 0)
    options.cluster.unapplied_bytes_max = options.cluster.pull_slice_bytes;
  // Ranges of some keys, and audits that come often enough to be seen.
  options.cluster.compared_keys = world_.random.between(1, 4);
  options.cluster.compared_bytes = static_cast<std::uint32_t>(world_.random.between(1, 400));
  options.cluster.audit_interval = 15s;
  options.cluster.members_max = std::max(options.cluster.members_max, world_.options.nodes);
  if (world_.options.remembers_deletes()) options.cluster.remember_deletes = 2s;
  options.cluster.mutate_pull_uncompared = world_.options.mutant == Mutant::pull_uncompared;
  options.cluster.mutate_join_uncompared = world_.options.mutant == Mutant::counter_join_uncompared;
  options.cluster.mutate_forget_early = world_.options.mutant == Mutant::forget_early;
  options.cluster.mutate_forget_absent = world_.options.mutant == Mutant::forget_absent;
  if (world_.options.mutant == Mutant::hasty) options.cluster.suspicion_multiplier = 1;
  options.cluster.mutate_merge_early = world_.options.mutant == Mutant::merge_early;
  options.cluster.mutate_no_fence = world_.options.mutant == Mutant::no_fence;
  options.cluster.max_clock_offset = Duration(world_.options.max_clock_offset_milliseconds);
  if (index_ == 0 && kept_.belonging.id.none()) found_cluster(options, {7, 7});
  options.cluster.level_mutant = level_mutant(world_.options.mutant);
  core_ = std::make_unique<Core>(std::move(options));
  desk_ = std::make_unique<SessionDesk>(*this);
  goes_by(core_->layout());

  std::vector<Input> inputs;
  driver_->announce(inputs);
  for (Input& input : inputs)
    this->input(std::move(input));
  tick(life_);
}

void SimNode::crash() {
  if (!up()) return;
  ++world_.totals.crashes;
  if (appended_ > store_->collect()) ++world_.totals.batches_lost;
  desk_->end();
  desk_.reset();
  core_.reset();
  conflict_check_.reset();
  driver_.reset();
  catalog_.reset();
  writer_.reset();
  clock_.reset();
  inputs_.clear();
  put_off_.clear();
  made_.clear();
  waiting_.clear();
  reads_.clear();
  levels_.clear();
  sync_under_way_ = false;
  store_->lose_unsynced();
  world_.network->drop_all(index_, gone_);
}

void SimNode::leave() {
  if (!serves()) return;
  leaving_ = true;
  input(LeaveRequested{});
}

std::size_t SimNode::evict_the_gone() {
  std::vector<NodeId> gone;
  for (const auto& [id, member] : core_->members()) {
    if (member.liveness == Liveness::dead || member.liveness == Liveness::left) gone.push_back(id);
  }
  for (const NodeId id : gone)
    input(EvictRequested{id});
  return gone.size();
}

void SimNode::pause(std::uint64_t milliseconds) {
  if (!up()) return;
  ++world_.totals.pauses;
  // Never shortened: what waits already would be overtaken.
  paused_until_ = std::max(
      paused_until_, world_.schedule.now() + Duration(static_cast<Duration::rep>(milliseconds)));
}

void SimNode::tick(std::uint64_t life) {
  if (life != life_ || !up()) return;
  input(Tick{});
  if (up()) close_silent_connections();
  if (up() && store_->maintain(wall(), 4)) sync_later();
  world_.schedule.in(tick_milliseconds, [this, life] { tick(life); });
}

void SimNode::close_silent_connections() {
  while (up() && !made_.empty() &&
         world_.schedule.now() - made_.front().second > greeting_timeout) {
    const ConnectionId id = made_.front().first;
    made_.pop_front();
    if (!core_->greeted(id)) world_.network->close(index_, id);
  }
}

void SimNode::input(Input input) {
  if (!up()) return;
  if (const auto* made = std::get_if<ConnectionUp>(&input))
    made_.emplace_back(made->connection, world_.schedule.now());
  if (world_.schedule.now() >= paused_until_ && put_off_.empty()) return take(std::move(input));
  put_off_.push_back(std::move(input));
  if (put_off_.size() == 1) go_on_later();
}

// A stopped process finds everything waiting when it goes on, in the order in which it came.
void SimNode::go_on_later() {
  world_.schedule.at(paused_until_, [this, life = life_] {
    if (life != life_ || !up()) return;
    if (world_.schedule.now() < paused_until_) return go_on_later();
    while (up() && !put_off_.empty()) {
      Input next = std::move(put_off_.front());
      take(std::move(next));
      if (!put_off_.empty()) put_off_.pop_front();
    }
  });
}

void SimNode::take(Input input) {
  inputs_.push_back(std::move(input));
  if (running_) return;
  running_ = true;
  while (up() && !inputs_.empty()) {
    Input next = std::move(inputs_.front());
    inputs_.pop_front();
    run(std::move(next));
  }
  running_ = false;
  after_turn();
}

void SimNode::run(Input input) {
  Actions actions;
  // The clock is read when it is told, which a pause may have put off.
  if (auto* tick = std::get_if<Tick>(&input)) tick->wall = wall();
  core_->step(world_.schedule.now(), input, actions);
  for (const Action& action : actions)
    perform(action);
}

void SimNode::perform(const Action& action) {
  std::vector<Input> answers;
  if (driver_->perform(action, wall(), answers)) {
    note_own_writes(action);
    for (Input& answer : answers)
      inputs_.push_back(std::move(answer));
    return;
  }
  if (const auto* connect = std::get_if<Connect>(&action)) {
    world_.network->connect(index_, *connect);
  } else if (const auto* close = std::get_if<Close>(&action)) {
    world_.network->close(index_, close->connection);
  } else if (const auto* send = std::get_if<Send>(&action)) {
    check_reported(*send->message);
    world_.network->send(index_, *send);
  } else if (const auto* persist = std::get_if<Persist>(&action)) {
    persisted(*persist);
    if (world_.options.stall) check_nobody_dead();
  } else if (const auto* note = std::get_if<NoteLayout>(&action)) {
    this->note(*note);
  } else if (const auto* published = std::get_if<Published>(&action)) {
    heard_.push_back(published->said.payload);
  } else if (const auto* reply = std::get_if<FanoutReply>(&action)) {
    const auto found = reads_.find(reply->request);
    check(found != reads_.end(), "a read is answered once");
    later([done = std::move(found->second), reply = *reply] { done(reply); });
    reads_.erase(found);
  } else if (const auto* reached = std::get_if<LevelReached>(&action)) {
    level_ended(*reached);
  } else if (std::holds_alternative<Left>(action)) {
    gone_ = true;
  }
}

// What came may have been joined with what was held, or been deleted once more: writes that no
// client asked for.
void SimNode::note_own_writes(const Action& action) {
  const auto note = [&](const CollectionRef& ref, const std::string& key, const Dot& came) {
    Collection* const collection = store_->find(ref.name);
    if (collection == nullptr || collection->ref() != ref) return;
    const auto held = collection->find(key);
    if (!held || !*held || (*held)->dot.origin != writer_->origin()) return;
    // What it had seen then is not known: less than now.
    Context itself;
    itself.add((*held)->dot);
    // What a joiner had written alone stays that when it is joined with something.
    const bool is_of_joiner =
        core_->state() == MemberState::joining || world_.history.is_of_joiner(ref.name, came);
    world_.history.assigned(ref, {key, **held}, std::move(itself), is_of_joiner, false);
  };
  if (const auto* records = std::get_if<ApplyRecords>(&action)) {
    for (const KeyedRecord& entry : records->records)
      note(records->collection, entry.key, entry.record.dot);
  } else if (const auto* found = std::get_if<MendRecords>(&action)) {
    for (const KeyedRecord& entry : found->records->records())
      note(found->collection, entry.key, entry.record.dot);
  } else if (const auto* write = std::get_if<ApplyWrite>(&action); write && write->records) {
    RecordBatch::Cursor cursor(*write->records);
    KeyedView view;
    while (cursor.next(view))
      note(write->collection, std::string(view.key), view.record.dot);
  }
}

// VEC: nothing is reported to anybody that a power cut could take back.
void SimNode::check_reported(const Message& message) {
  if (const auto* ack = std::get_if<WriteAck>(&message)) {
    for (const WriteAck::Tip& tip : ack->tips) {
      const Collection* collection = store_->find(tip.collection.name);
      if (collection == nullptr || collection->ref() != tip.collection) continue;
      if (!collection->durable().contains(Dot{tip.origin, tip.sequence}))
        world_.history.violated(
            "VEC", "node " + std::to_string(index_) + " reported a write that is not durable");
    }
  } else if (const auto* reply = std::get_if<PullReply>(&message)) {
    const Collection* collection = store_->find(reply->collection.name);
    if (collection != nullptr && collection->ref() == reply->collection && !reply->unknown &&
        !collection->durable().contains(reply->vector))
      world_.history.violated(
          "VEC", "node " + std::to_string(index_) + " reported a vector that is not durable");
  } else if (const auto* answer = std::get_if<AuditReply>(&message)) {
    check_vector(answer->collection, answer->vector);
  } else if (const auto* fetched = std::get_if<FetchReply>(&message)) {
    check_vector(fetched->collection, fetched->vector);
  } else if (const auto* report = std::get_if<Report>(&message)) {
    for (const Report::Vector& vector : report->vectors)
      check_vector(vector.collection, vector.durable);
  }
}

void SimNode::check_vector(const CollectionRef& ref, const Context& vector) {
  const Collection* collection = store_->find(ref.name);
  if (collection != nullptr && collection->ref() == ref && !collection->durable().contains(vector))
    world_.history.violated(
        "VEC", "node " + std::to_string(index_) + " reported a vector that is not durable");
}

// MEMB: a correct node that is connected is not taken for dead.
void SimNode::check_nobody_dead() {
  for (const Member& member : kept_.members) {
    if (member.liveness == Liveness::dead)
      world_.history.violated(
          "MEMB", "node " + std::to_string(index_) + " takes " + member.name + " for dead at " +
                      std::to_string(world_.schedule.now().since_start.count()) + " ms");
  }
}

void SimNode::say(const std::string& payload) {
  input(LocalPublish{{.channel = "news", .payload = payload}});
}

void SimNode::after_turn() {
  if (!up()) return;
  sync_later();
  if (!gone_) return;
  ++world_.totals.leaves;
  // A clean stop waits for its disk.
  check(store_->drain().has_value(), "a memory store drains");
  store_->collect();
  const Totals before = world_.totals;
  crash();
  world_.totals.crashes = before.crashes;
  world_.totals.batches_lost = before.batches_lost;
}

void SimNode::sync_later() {
  // An empty batch tells how far appending has come.
  Collection& marker = catalog_->configurations();
  if (sync_under_way_) return;
  const auto position = store_->append(marker, {});
  if (!position) return;
  appended_ = *position;
  if (appended_ == syncing_ + 1) {
    syncing_ = appended_;  // Nothing but the marker: nothing to sync.
    store_->release(appended_);
    collect();
    return;
  }
  syncing_ = appended_;
  sync_under_way_ = true;
  std::uint64_t delay = world_.random.between(1, 20);
  if (world_.faults && world_.options.slow_disk && world_.random.chance(0.1)) {
    delay = world_.random.between(200, 2000);
    ++world_.totals.slow_syncs;
  }
  const std::uint64_t life = life_;
  world_.schedule.in(delay, [this, life, position = *position] { synced(life, position); });
}

void SimNode::synced(std::uint64_t life, Position position) {
  if (life != life_ || !up()) return;
  sync_under_way_ = false;
  store_->release(position);
  collect();
  after_turn();
}

void SimNode::collect() {
  std::vector<Input> inputs;
  const Position durable = driver_->collect(inputs);
  const auto end = waiting_.upper_bound(durable);
  for (auto entry = waiting_.begin(); entry != end; ++entry)
    entry->second();
  waiting_.erase(waiting_.begin(), end);
  for (Input& input : inputs)
    this->input(std::move(input));
}

// --- Clocks ----------------------------------------------------------------------------------

bool SimNode::refuses_writes() {
  if (!serves() || world_.schedule.now() < paused_until_) return true;
  if (!fenced()) return false;
  ++world_.totals.fenced_writes;
  return true;
}

Collection* SimNode::place_for(const std::string& collection) {
  if (Collection* const place = catalog_->find(collection)) return place;
  CollectionConfig config = catalog_->default_config(collection);
  if (world_.options.keep_conflicts) config.on_conflict = OnConflict::keep;
  const auto made = catalog_->create(collection, config, wall());
  return made ? *made : nullptr;
}

// BUMP: a write beats what its node held, or forgot. CLAMP: and is no further ahead of what its
// node's own clock has ever shown than that makes necessary.
void SimNode::check_version(const Collection& collection, const std::optional<Record>& held,
                            const Record& written, std::uint64_t above_hlc) {
  const std::string node = "node " + std::to_string(index_);
  if (held && !newer(written, *held))
    world_.history.violated("BUMP",
                            node + " wrote " + describe(written) + " over " + describe(held));
  // And a step for each write.
  constexpr WallMilliseconds steps = 1;
  const std::uint64_t by_clock = (wall_clock_.highest() + default_clock_offset_max + steps)
                                 << hlc_counter_bits;
  const std::uint64_t by_bump =
      std::max({held ? held->version.hlc : 0, collection.forgotten_hlc(), above_hlc}) + 1;
  if (written.version.hlc > std::max(by_clock, by_bump))
    world_.history.violated("CLAMP", node + ", whose clock never showed more than " +
                                         std::to_string(wall_clock_.highest()) + ", wrote " +
                                         describe(written) + " over " + describe(held));
}

void SimNode::ConflictCheck::lost(const Collection& collection, const Lost& lost,
                                  std::optional<Record> record) {
  ++world_.totals.conflicts;
  world_.history.conflicted(collection.ref(), lost.loser, lost.winner);
  next_.lost(collection, lost, std::move(record));
}

// --- Clients ----------------------------------------------------------------------------------

void SimNode::later(std::function<void()> what) {
  const std::uint64_t life = life_;
  world_.schedule.in(0, [this, life, what = std::move(what)] {
    if (life == life_ && up()) what();
  });
}

std::optional<SimNode::Wrote> SimNode::put(const std::string& collection,
                                           const WriteRequest& request,
                                           std::function<void(const Wrote&)> durable) {
  Collection* const place = place_for(collection);
  if (place == nullptr) return std::nullopt;
  const auto held = find(collection, std::string(request.key));
  const auto written = writer_->write(*place, request, wall());
  if (!written) return std::nullopt;
  const Wrote wrote{place->ref(), {std::string(request.key), record_of(request, *written)}};
  check_version(*place, held, wrote.record.record, request.above_hlc);
  std::function<void()> told;
  if (durable) told = [wrote, durable = std::move(durable)] { durable(wrote); };
  tell(*place, wrote.record, written->position, std::move(told));
  return wrote;
}

void SimNode::tell(const Collection& collection, const KeyedRecord& record, Position position,
                   std::function<void()> durable) {
  world_.history.assigned(collection.ref(), record, collection.seen(),
                          core_->state() == MemberState::joining, true);
  driver_->wrote(collection, record, position);
  if (durable) waiting_.emplace(position, std::move(durable));
  after_turn();
}

void SimNode::write(const std::string& collection, const std::string& key, bool deletes,
                    const std::string& value) {
  if (refuses_writes()) return;
  const auto acknowledge = [this](const Wrote& wrote) {
    ++world_.totals.acknowledged;
    world_.history.acknowledged(index_, wrote.collection.name, wrote.record);
  };
  const bool early = world_.options.mutant == Mutant::ack_early;
  const auto wrote = put(collection, {.key = key, .deletes = deletes, .value = value},
                         early ? std::function<void(const Wrote&)>() : acknowledge);
  if (early && wrote) acknowledge(*wrote);
}

void SimNode::add(const std::string& collection, const std::string& key, std::int64_t more,
                  std::uint64_t ttl_milliseconds) {
  if (refuses_writes()) return;
  Collection* const place = place_for(collection);
  if (place == nullptr) return;
  const auto before = find(collection, key);
  std::string value;
  const auto written =
      writer_->change(*place, HashedKey(key), wall(), [&](const RecordView* held, Change& change) {
        value = std::to_string((held != nullptr ? std::stoll(std::string(held->value)) : 0) + more);
        change.value = value;
        change.adds = more;
        if (ttl_milliseconds != 0) change.deadline = wall() + ttl_milliseconds;
        return true;
      });
  if (!written || !*written) return;
  ++world_.totals.additions;
  const Bytes attributes = writer_->counted_attributes();
  const WriteRequest request{.key = key, .value = value, .attributes = attributes};
  const KeyedRecord record{key, record_of(request, **written)};
  check_version(*place, before, record.record, 0);
  const std::size_t addition =
      world_.history.added(collection, record, more, ttl_milliseconds != 0);
  const auto acknowledge = [this, collection, record, addition] {
    ++world_.totals.acknowledged;
    world_.history.acknowledged(index_, collection, record);
    world_.history.addition_acknowledged(addition);
  };
  const bool early = world_.options.mutant == Mutant::ack_early;
  tell(*place, record, (*written)->position, early ? std::function<void()>() : acknowledge);
  if (early) acknowledge();
}

void SimNode::flush(const std::string& collection) {
  if (refuses_writes()) return;
  Collection* place = catalog_->find(collection);
  if (place == nullptr) return;
  world_.history.flush_began(collection);
  auto flushed = writer_->flush(*place);
  const auto position = store_->append(catalog_->configurations(), {});
  if (!flushed || !position) return;
  ++world_.totals.flushes;
  world_.history.flush_attempted(collection, *flushed);
  driver_->flushed(*place, *flushed, *position);
  waiting_.emplace(*position, [this, collection, context = *flushed] {
    world_.history.flush_acknowledged(collection, context);
  });
  after_turn();
}

void SimNode::drop(const std::string& collection) {
  if (refuses_writes()) return;
  if (!catalog_->drop(collection, wall())) return;
  ++world_.totals.drops;
  world_.history.dropped(collection);
  after_turn();
}

void SimNode::read(const std::string& key) {
  if (!serves() || world_.schedule.now() < paused_until_) return;
  ++world_.totals.reads;
  const std::uint64_t request = ++requests_;
  reads_[request] = [](const FanoutReply&) {};
  input(FanoutRead{request, std::string(default_collection), key});
}

std::optional<Record> SimNode::find(const std::string& collection, const std::string& key) {
  Collection* place = store_->find(collection);
  if (place == nullptr) return std::nullopt;
  auto found = place->find(key);
  check(found.has_value(), "a memory store answers");
  return *found;
}

std::size_t SimNode::tombstones(Duration since) {
  std::size_t count = 0;
  for (Collection* collection : store_->collections()) {
    const auto slice = collection->range({.limits = {.records_max = 1'000'000}});
    check(slice.has_value(), "a memory store answers");
    count += static_cast<std::size_t>(std::ranges::count_if(slice->records, [&](const auto& entry) {
      return entry.record.deleted && hlc_milliseconds(entry.record.version.hlc) +
                                             static_cast<WallMilliseconds>(since.count()) <
                                         wall();
    }));
  }
  return count;
}

std::string SimNode::fingerprint() {
  std::string text;
  for (Collection* collection : store_->collections()) {
    if (collection->seen().empty()) continue;
    text += collection->ref().name + "/" + std::to_string(collection->ref().generation) + " " +
            std::to_string(collection->seen().hash()) + " " +
            std::to_string(collection->flushed().hash()) + "\n";
    auto slice =
        collection->walk({.limits = {.records_max = 1'000'000, .bytes_max = std::size_t{1} << 30}});
    check(slice.has_value(), "a memory store walks");
    std::map<std::string, std::string> lines;
    for (const KeyedRecord& entry : slice->records)
      // Nodes drop a tombstone when each has heard that all have it.
      if (!entry.record.deleted)
        lines[entry.key] = describe(entry.record) + " " + entry.record.value + " " +
                           std::to_string(hash64(entry.record.attributes));
    for (const auto& [key, line] : lines)
      text += "  " + key + " " + line + "\n";
  }
  return text;
}

}  // namespace dhrt::simulator
