// What a node of the simulated cluster does about who votes, and at levels above one.
#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "tests/simulator/sim_node.h"

namespace dhrt::simulator {

namespace {

constexpr std::string_view register_collection = "registers";

}  // namespace

// Who votes in another cluster is written with its name; else it has the time of a note.
void SimNode::persisted(const Persist& persist) {
  const bool moved = kept_.belonging.id != persist.belonging.id;
  goes_by(persist.layout.layout);
  kept_.belonging = persist.belonging;
  kept_.members = persist.members;
  kept_.compared = persist.compared;
  if (moved) kept_.layout = persist.layout;
}

void SimNode::goes_by(const Layout& layout) {
  known_ = layout;
  world_.layouts.known(index_ + 1, layout);
}

// Notes reach the disk late and in their order, and now and then it refuses one.
void SimNode::note(const NoteLayout& note) {
  goes_by(note.notes.layout);
  std::uint64_t delay = world_.random.between(1, 20);
  const bool is_slow = world_.faults && world_.options.slow_disk;
  if (is_slow && world_.random.chance(0.1)) delay = world_.random.between(200, 2000);
  const bool fails = is_slow && world_.random.chance(0.1);
  noted_ = std::max(noted_, world_.schedule.now() + Duration(static_cast<Duration::rep>(delay)));
  world_.schedule.at(noted_, [this, life = life_, note, fails] {
    if (life != life_ || !up()) return;
    if (fails) {
      ++world_.totals.notes_failed;
    } else {
      kept_.layout = note.notes;
      world_.layouts.kept(index_ + 1, note.notes);
    }
    input(LayoutNoted{note.number, !fails});
  });
}

void SimNode::level_ended(const LevelReached& reached) {
  const auto found = levels_.find(reached.request);
  check(found != levels_.end(), "a wait is answered once");
  const WaitsForLevel& wait = found->second;
  if (reached.tally.reached)
    world_.level_reached(wait.level, known_, wait.wrote.collection, wait.wrote.record);
  later([done = wait.done, tally = reached.tally] { done(tally); });
  levels_.erase(found);
}

std::size_t SimNode::voters() const {
  const Layout& layout = core_->layout();
  const bool is_one_added = !layout.next.none() && layout.next.retires == 0;
  return layout.voters.size() + layout.retired.size() + (is_one_added ? 1 : 0);
}

std::optional<NodeId> SimNode::being_let_in() const {
  if (!up()) return std::nullopt;
  const Layout& layout = core_->layout();
  return layout.may_add(layout.next.node) ? std::optional(layout.next.node) : std::nullopt;
}

bool SimNode::retire(NodeId node) {
  if (!serves() || !core_->layout().may_count(node) || core_->why_not_retired(node)) return false;
  input(RetireRequested{node});
  return true;
}

void SimNode::wait_for_level(WriteLevel level, const Wrote& wrote,
                             std::function<void(const Tally&)> done) {
  const std::uint64_t request = ++requests_;
  levels_[request] = {level, wrote, std::move(done)};
  later([this, request, level, wrote] {
    input(WaitForLevel{request, level, {{wrote.collection, wrote.record.record.dot}}});
  });
}

void SimNode::write_at(WriteLevel level, const std::string& collection, const std::string& key,
                       bool deletes, const std::string& value) {
  if (refuses_writes()) return;
  put(collection, {.key = key, .deletes = deletes, .value = value},
      [this, level](const Wrote& wrote) {
        wait_for_level(level, wrote, [this, level, wrote](const Tally& tally) {
          world_.history.acknowledged(index_, wrote.collection.name, wrote.record);
          ++(tally.reached ? world_.totals.level_writes : world_.totals.level_timeouts);
        });
      });
}

namespace {

// Of no other write, also if that is a delete.
std::string name(const Dot& dot) {
  const Origin& origin = dot.origin;
  return std::to_string(origin.node) + "/" + std::to_string(origin.epoch) + "/" +
         std::to_string(origin.loop) + "/" + std::to_string(dot.sequence);
}

}  // namespace

void SimNode::set_register(const std::string& key, const std::string& value) {
  if (refuses_writes()) return;
  const Registers::Operation operation = world_.registers.begin_set(key);
  const std::uint64_t request = ++requests_;
  reads_[request] = [this, operation, key, value](const FanoutReply& reply) {
    if (!reply.tally.reached) return void(++world_.totals.level_timeouts);
    if (refuses_writes()) return;
    const std::uint64_t above = std::max(reply.record ? reply.record->version.hlc : 0,
                                         believed_forgotten_hlc(reply.forgotten_hlc, wall()));
    const auto made =
        put(std::string(register_collection),
            {.key = key, .deletes = value.empty(), .value = value, .above_hlc = above},
            [this, operation](const Wrote& wrote) {
              wait_for_level(WriteLevel::linear, wrote, [this, operation](const Tally& tally) {
                ++(tally.reached ? world_.totals.register_sets : world_.totals.level_timeouts);
                if (tally.reached) world_.registers.set_done(operation);
              });
            });
    if (made) world_.registers.set_made(operation, name(made->record.record.dot), value.empty());
  };
  input(FanoutRead{request, std::string(register_collection), key, ReadLevel::linear,
                   ReadWant::version});
}

void SimNode::get_register(const std::string& key) {
  if (!serves() || world_.schedule.now() < paused_until_) return;
  const Registers::Operation operation = world_.registers.begin_get(key);
  const std::uint64_t request = ++requests_;
  reads_[request] = [this, operation](const FanoutReply& reply) {
    ++(reply.tally.reached ? world_.totals.register_gets : world_.totals.level_timeouts);
    if (reply.tally.reached)
      world_.registers.get_done(operation, reply.record ? name(reply.record->dot) : std::string(),
                                reply.record && reply.record->deleted);
  };
  input(FanoutRead{request, std::string(register_collection), key, ReadLevel::linear});
}

bool SimNode::has_durably(const CollectionRef& collection, const Dot& dot) const {
  const Collection* const place = store_->find(collection.name);
  return place != nullptr && place->ref() == collection && place->durable().contains(dot);
}

}  // namespace dhrt::simulator
