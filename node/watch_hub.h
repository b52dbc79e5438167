// Who watches which collections, on all event loops, and what they have to be told.
//
// Intuition: watchers read what changed from the store themselves (storage/change_feed.h). All they
// need is to be woken: when a collection changed durably, and when deadlines passed. The main loop
// knows both, and writes a letter to each loop that has a watcher of the collection; while such a
// letter is under way no second one is written. Who writes while nobody watches pays a look at one
// number a turn.
//
// Of many watchers of one loop only so many look in one turn; the others follow in their order, so
// that other clients are served in between.
//
// Bounds: keys of deadlines that passed in one step of maintenance; an entry per collection.
// Threads: any, unless said otherwise.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/machine.h"
#include "storage/base/bytes.h"
#include "storage/base/time.h"

namespace dhrt {

class Watchers;

class WatchHub {
 public:
  using Letter = std::function<void(Watchers&)>;
  // Brings a letter to one of so many loops. Before anybody else knows of the hub.
  void set_post(std::function<void(unsigned loop, Letter)> post, unsigned loops) {
    post_ = std::move(post);
    loops_ = loops;
  }
  // When this node started: what expired before that nobody knows.
  void set_started(WallMilliseconds started) { started_ = started; }

  // `loop` has one more watcher of it, or one less.
  void add(const std::string& collection, unsigned loop);
  void remove(const std::string& collection, unsigned loop);
  bool any() const { return count_.load(std::memory_order_relaxed) > 0; }
  // A loop got its letter about a change, and looks now: the next change is worth another.
  void heard(const std::string& collection, unsigned loop);
  void post(unsigned loop, Letter letter) { post_(loop, std::move(letter)); }
  // Deadlines may have passed unheard since then; call when the watcher was added.
  bool may_have_expired_since(const std::string& collection, WallMilliseconds then) const;

  // --- The main loop.
  void changed(const std::string& collection);
  // Called with a lock held: only notes it. tell_expired() follows.
  void expired(const std::string& collection, Bytes key, WallMilliseconds now);
  void tell_expired();

 private:
  struct OfCollection {
    std::array<std::size_t, event_loops_max> watchers{};  // By loop.
    std::array<bool, event_loops_max> told{};
  };
  using Keys = std::vector<std::string>;

  std::function<void(unsigned loop, Letter)> post_;
  unsigned loops_ = 0;
  WallMilliseconds started_ = 0;
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;  // Guards what follows.
  std::map<std::string, OfCollection, std::less<>> watched_;
  std::map<std::string, WallMilliseconds, std::less<>> last_expired_;
  std::map<std::string, Keys, std::less<>> expired_;  // Of the step under way, where it is watched.
};

// A connection that watches.
class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;
  virtual void changed() = 0;
  virtual void expired(Bytes key) = 0;
  // It may look now: see Watchers::may_look.
  virtual void go_on() = 0;
};

// Those of one loop, on its thread.
class Watchers {
 public:
  // `hub` outlives this.
  Watchers(WatchHub& hub, unsigned loop) : hub_(hub), loop_(loop) {}

  WatchHub& hub() { return hub_; }
  // It is removed before it goes.
  void add(const std::string& collection, Watcher& watcher);
  void remove(const std::string& collection, Watcher& watcher);
  void changed(const std::string& collection);
  void expired(const std::string& collection, const std::vector<std::string>& keys);

  static constexpr std::size_t looks_a_turn = 32;
  // Asked by a watcher that is about to look at its collection. False: enough others did in this
  // turn; it is told to go_on() in a later one.
  bool may_look(Watcher& watcher);

 private:
  void next_turn();

  WatchHub& hub_;
  const unsigned loop_;
  std::multimap<std::string, Watcher*, std::less<>> by_collection_;
  std::size_t looks_left_ = looks_a_turn;
  bool ends_turn_ = false;        // A letter of our own is under way.
  std::deque<Watcher*> waiting_;  // In the order in which they go on.
  std::set<Watcher*> queued_;     // The same ones: every change asks whether one is among them.
  std::set<Watcher*> invited_;    // They were told to go on, in this turn.
};

}  // namespace dhrt
