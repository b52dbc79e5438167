// The Store of one event loop: what it writes goes to its own log under its own positions, what
// it reads is everybody's.
//
// Intuition: a write is decided and made under the lock of its key's stripe, and noted in the
// frame of the turn. The end of the turn writes the frame; when the log is synced, the turn's
// part of the contexts becomes durable.
//
// Bounds: writes are refused when too much is not in the files, no space is left, or a limit on
// memory is reached. Errors: as in store.h. Threads: the loop's.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "storage/defragmenter.h"
#include "storage/engine_collection.h"
#include "storage/engine_shared.h"

namespace dhrt {

// Written at each record, and read by one thread: apart from those of other loops.
class alignas(64) EngineLoop final : public Store {
 public:
  EngineLoop(EngineShared& shared, unsigned loop)
      : shared_(shared), loop_(loop), defragmenter_(shared.stripes) {}

  Result<Collection*> open(const OpenOptions& options) override;
  Status erase(Bytes name) override;
  Collection* find(Bytes name) override;
  std::vector<Collection*> collections() override;
  std::size_t collection_count() override;
  Result<Position> append(Collection& collection, Batch batch) override;
  Result<Position> update(Collection& collection, const HashedKey& key, const Terms& terms,
                          Decide decide) override;
  void forget_tombstones(Collection& collection, Forgettable what) override;
  Status note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) override;
  void commit() override;
  Position collect() override;
  Position collect_patiently() override;
  std::vector<std::string> take_changed() override { return shared_.take_changed(); }
  std::vector<DamagedKey> take_damaged() override;
  Status health() const override { return shared_.health(); }
  bool maintain(WallMilliseconds now, std::size_t records_max) override;
  Status drain() override;

 private:
  LoopShared& mine() const { return *shared_.loops[loop_]; }
  LogWriter* log() const { return shared_.log(loop_); }
  void make_room(const EngineCollection& target, std::size_t stripe);
  Status admit(const EngineCollection& target);
  Status admit_record(const EngineCollection& target, Bytes key, const RecordView& put,
                      bool in_place);
  Result<OriginAlias> alias_of(EngineCollection& target, const Origin& origin);
  ContextGain& gain_of(EngineCollection& target);
  // Whether another loop wrote it, and has not synced it yet. In stripe.
  bool is_unsettled(const EngineCollection& target, const Dot& dot) const;
  std::vector<Position> others_appended() const;
  bool awaits_others();
  static Result<EngineCollection::Near> lock_for(EngineCollection& target, const HashedKey& key,
                                                 const Terms& terms,
                                                 std::unique_lock<std::mutex>& lock);
  // What is done when a record has been put.
  void note_put(EngineCollection& target, const Dot& dot, bool joins_seen);
  const std::vector<EngineCollection*>& known();
  Position next_position();
  Status check_puts(EngineCollection& target, const Batch& batch);
  Status put_all(EngineCollection& target, const Batch& batch);
  void append_contexts(EngineCollection& target, const Batch& batch);
  Status erase_locked(const SharedCollection& held);
  Position hold_back(Position position);

  EngineShared& shared_;
  const unsigned loop_;
  Position last_ = 0;
  Position logged_ = 0;         // The last position that is in the log, or in its frame.
  Position committed_log_ = 0;  // The same at the end of the last turn.
  std::uint64_t turn_ = 1;
  bool met_unsettled_ = false;      // In this turn, a pulled record met one.
  bool awaits_others_ = false;      // Some turn did, and they may not be synced yet.
  std::vector<ContextGain> gains_;  // Of this turn.
  ByteChanges changes_;             // The same.
  std::string maintained_;          // The collection that maintain() stopped at.
  Defragmenter defragmenter_;

  std::vector<EngineCollection*> known_;  // By name, as of a version of the structure.
  std::uint64_t known_version_ = ~std::uint64_t{0};

  std::string found_name_;  // The collection found last, and when.
  Collection* found_ = nullptr;
  std::uint64_t found_version_ = 0;

  // Answers that wait because too much is not in the files yet.
  struct Held {
    Position position = 0;
    Time until;
  };
  std::deque<Held> held_;
  Position answered_ = 0;
  Position answered_patiently_ = 0;
  Time answered_patiently_at_{};
};

}  // namespace dhrt
