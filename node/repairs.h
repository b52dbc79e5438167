// Replaces records that the disk has damaged by intact copies of other nodes.
//
// Intuition: the store tells which keys it found damaged. Each is asked of the other nodes, as a
// read would be that found nothing here; what they answer is applied as if it had been pulled:
// the same write heals, a newer one replaces.
//
// Bounds: keys_max keys wait, asked_max are asked at a time. A node that did not answer is asked
// again soon, then ever more rarely, down to once in pause_max; so is one that has no copy.
// Threads: the main loop's.
#pragma once

#include <map>

#include "cluster/actions.h"
#include "node/cluster_view.h"
#include "node/database.h"
#include "node/store_driver.h"
#include "storage/store.h"

namespace dhrt {

class Repairs {
 public:
  static constexpr std::size_t keys_max = 4096;
  static constexpr std::size_t asked_max = 16;
  static constexpr Duration pause_min{500};
  static constexpr Duration pause_max{600'000};

  // All outlive it.
  struct Parts {
    Store& store;
    StoreDriver& driver;
    Database& database;
    const ClusterView& view;
  };
  explicit Repairs(const Parts& parts) : parts_(parts) {}
  // Call often.
  void look(Time now, WallMilliseconds wall);
  std::size_t waiting() const { return damaged_.size(); }

 private:
  struct State {
    Time ask_at;
    Duration pause = pause_min;
    bool asked = false;
  };

  void note_new();
  void ask(const DamagedKey& key);
  void answered(const DamagedKey& key, FanoutReply reply);
  bool apply(const DamagedKey& key, Record record);
  void failed(const DamagedKey& key, bool may_be_had);
  bool is_damaged(const DamagedKey& key) const;
  bool needs_all(const DamagedKey& key) const;

  Parts parts_;
  std::map<DamagedKey, State> damaged_;
  std::size_t asked_ = 0;
  Time now_;  // Of the last look.
  WallMilliseconds wall_ = 0;
};

}  // namespace dhrt
