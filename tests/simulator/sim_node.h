// One node of the simulated cluster: the real core, writer, catalog and driver on the memory
// store with a disk that syncs late and forgets what it had not synced.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/core.h"
#include "node/store_driver.h"
#include "storage/catalog.h"
#include "storage/hlc.h"
#include "storage/store.h"
#include "storage/writer.h"
#include "tests/simulator/history.h"
#include "tests/simulator/layouts.h"
#include "tests/simulator/network.h"
#include "tests/simulator/options.h"
#include "tests/simulator/registers.h"
#include "tests/simulator/session_desk.h"
#include "tests/simulator/sim_clock.h"

namespace dhrt::simulator {

class SimNode {
 public:
  struct World {
    const SimulationOptions& options;
    Schedule& schedule;
    Random& random;
    Totals& totals;
    History& history;
    Registers& registers;
    Layouts& layouts;
    // A write is about to be acknowledged at this level. `known`: who votes, and what change
    // is under way, as far as the node knows.
    std::function<void(WriteLevel, const Layout& known, const CollectionRef&, const KeyedRecord&)>
        level_reached;
    Network* network = nullptr;
    bool faults = true;
  };

  SimNode(NodeIndex index, World& world);

  // The first start founds or joins; later ones come back with what was kept.
  void start();
  // kill -9 and power cut: what was not synced is gone.
  void crash();
  void leave();
  void pause(std::uint64_t milliseconds);
  // Those that it sees dead or left; how many.
  std::size_t evict_the_gone();
  void input(Input input);

  NodeId id() const { return index_ + 1; }
  bool up() const { return core_ != nullptr; }
  bool healthy() const { return up() && core_->state() == MemberState::healthy; }
  bool serves() const { return up() && core_->belongs() && !leaving_; }
  const Core& core() const { return *core_; }
  SimClock& clock() { return wall_clock_; }
  const SimClock& clock() const { return wall_clock_; }
  // It takes no writes, because of its clock.
  bool fenced() const { return up() && core_->clocks().fenced(); }
  Store& store() { return *store_; }
  // Whom it knows of, those who are retired among them.
  std::size_t voters() const;
  // Asks that somebody votes no more; false: it cannot be.
  bool retire(NodeId node);
  // By the voters, as far as this node knows.
  std::optional<NodeId> being_let_in() const;
  bool retires_somebody() const {
    return up() && (core_->is_retiring_somebody() || core_->layout().next.retires != 0);
  }

  // What clients do.
  void write(const std::string& collection, const std::string& key, bool deletes,
             const std::string& value);
  // Adds to a number; `ttl_milliseconds` 0: its deadline stays.
  void add(const std::string& collection, const std::string& key, std::int64_t more,
           std::uint64_t ttl_milliseconds);
  // How often the writer of this start joined two records of a counter.
  std::uint64_t joins() const { return writer_ == nullptr ? 0 : writer_->joins(); }
  void write_at(WriteLevel level, const std::string& collection, const std::string& key,
                bool deletes, const std::string& value);
  // At level linear; an empty value deletes.
  void set_register(const std::string& key, const std::string& value);
  void get_register(const std::string& key);
  void flush(const std::string& collection);
  void drop(const std::string& collection);
  void read(const std::string& key);
  // The node is up. As SessionDesk::receive().
  void receive(SessionRequest request, SessionDesk::Done done) {
    desk_->receive(std::move(request), std::move(done));
  }
  void drop_sessions() {
    if (up()) desk_->drop_all();
  }
  void say(const std::string& payload);
  // What clients of other nodes said, in the order in which it came.
  const std::vector<std::string>& heard() const { return heard_; }

  // Durable here: the write, or what replaced it.
  bool has_durably(const CollectionRef& collection, const Dot& dot) const;
  std::optional<Record> find(const std::string& collection, const std::string& key);
  // Key, dot and value of every live record, and the contexts: equal on converged nodes.
  std::string fingerprint();
  // That its clock has allowed it to drop for so long.
  std::size_t tombstones(Duration since);

 private:
  friend class SessionDesk;  // A part of the node that has a file of its own.

  WallMilliseconds wall() { return wall_clock_.show(world_.schedule.now()); }
  bool refuses_writes();
  Collection* place_for(const std::string& collection);
  void check_version(const Collection& collection, const std::optional<Record>& held,
                     const Record& written, std::uint64_t above_hlc);
  void tell(const Collection& collection, const KeyedRecord& record, Position position,
            std::function<void()> durable);
  void tick(std::uint64_t life);
  void run(Input input);
  void take(Input input);
  void go_on_later();
  void perform(const Action& action);
  void after_turn();
  void sync_later();
  void synced(std::uint64_t life, Position position);
  void collect();
  void note_own_writes(const Action& action);
  void persisted(const Persist& persist);
  void goes_by(const Layout& layout);
  void note(const NoteLayout& note);
  void level_ended(const LevelReached& reached);
  void check_reported(const Message& message);
  void check_vector(const CollectionRef& ref, const Context& vector);
  void check_nobody_dead();
  void close_silent_connections();

  NodeIndex index_;
  World& world_;
  std::unique_ptr<MemoryStore> store_;
  std::uint64_t life_ = 0;  // Counts starts; events of an earlier life are void.
  std::uint32_t epoch_ = 0;
  std::uint64_t incarnation_ = 0;
  SimClock wall_clock_;
  Persist kept_;  // As on disk.
  Layout known_;  // What it goes by, which its disk may not have yet.
  Time noted_{};  // When the last of its notes is on the disk.
  bool leaving_ = false;
  bool gone_ = false;  // Left was reached in this turn.
  Time paused_until_{};

  // Asks the history whether what is called a conflict is one, and counts it.
  class ConflictCheck final : public ConflictSink {
   public:
    ConflictCheck(World& world, RecordWriter& writer)
        : world_(world), next_(*writer.conflict_sink()) {
      writer.tell_conflicts_to(this);
    }
    bool keeps(const Collection& collection) const override { return next_.keeps(collection); }
    void lost(const Collection& collection, const Lost& lost,
              std::optional<Record> record) override;

   private:
    World& world_;
    ConflictSink& next_;
  };

  std::unique_ptr<HybridClock> clock_;
  std::unique_ptr<RecordWriter> writer_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<StoreDriver> driver_;
  std::optional<ConflictCheck> conflict_check_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<SessionDesk> desk_;
  bool running_ = false;
  std::deque<Input> inputs_;
  std::deque<Input> put_off_;                       // While it is paused.
  std::deque<std::pair<ConnectionId, Time>> made_;  // That may still have to greet.
  Position appended_ = 0;
  Position syncing_ = 0;
  bool sync_under_way_ = false;
  std::multimap<Position, std::function<void()>> waiting_;  // Replies to clients.
  struct Wrote {
    CollectionRef collection;
    KeyedRecord record;
  };
  std::optional<Wrote> put(const std::string& collection, const WriteRequest& request,
                           std::function<void(const Wrote&)> durable);
  // Runs it when this turn is over, unless the node ends before.
  void later(std::function<void()> what);
  void wait_for_level(WriteLevel level, const Wrote& wrote, std::function<void(const Tally&)> done);

  std::uint64_t requests_ = 0;
  std::map<std::uint64_t, std::function<void(const FanoutReply&)>> reads_;
  struct WaitsForLevel {
    WriteLevel level = WriteLevel::quorum;
    Wrote wrote;
    std::function<void(const Tally&)> done;
  };
  std::map<std::uint64_t, WaitsForLevel> levels_;
  std::vector<std::string> heard_;
};

}  // namespace dhrt::simulator
