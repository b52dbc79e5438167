// Keyspace events: what happens to keys is said on channels, for those who want to know.
//
//   __keyspace@<db>__:<key>    says what happened to the key: set, del, expire, expired, ...
//   __keyevent@<db>__:<event>  says to which key it happened
//
// <db> is the number of a database, or the name of another collection.
//
// Intuition: only the node on which a command runs knows what it did; a record that comes from a
// peer says what is left. So that node says it, on channels, which reach the listeners of all nodes
// behind the write itself. Deadlines pass on every node by themselves: each tells its own listeners
// and no others, so that everybody hears of them once. A node tells what its own setting asks for.
// Nobody pays for events that nobody wants but with a look at one number.
//
// Threads: the settings are for any, a KeyEvents is its loop's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "storage/base/bytes.h"

namespace dhrt {

// notify-keyspace-events, a letter each.
namespace event_flags {
inline constexpr std::uint32_t keyspace = 1U << 0;  // K: tell it by key.
inline constexpr std::uint32_t keyevent = 1U << 1;  // E: tell it by event.
inline constexpr std::uint32_t generic = 1U << 2;   // g: del, expire, rename, ...
inline constexpr std::uint32_t strings = 1U << 3;   // $: set, append, incrby, ...
inline constexpr std::uint32_t expired = 1U << 4;   // x
inline constexpr std::uint32_t created = 1U << 5;   // n: a key is new.
inline constexpr std::uint32_t missed = 1U << 6;    // m: a read found nothing.
// l s h z e t d, from this bit on: types and kinds that are not given here.
inline constexpr unsigned others_from = 7;
}  // namespace event_flags

// Absent: there is a letter that means nothing. Empty text: none.
std::optional<std::uint32_t> parse_event_flags(Bytes text);
std::string event_flags_text(std::uint32_t flags);

class KeyEvents {
 public:
  using Say = std::function<void(const std::string& channel, Bytes payload)>;
  struct Hooks {
    Say say;       // To the listeners of all nodes,
    Say say_here;  // of this one.
  };
  // `flags` outlives this.
  KeyEvents(const std::atomic<std::uint32_t>& flags, Hooks hooks)
      : flags_(flags), hooks_(std::move(hooks)) {}

  bool wants(std::uint32_t kinds) const {
    return (flags_.load(std::memory_order_relaxed) & kinds) != 0;
  }
  bool any() const { return wants(event_flags::keyspace | event_flags::keyevent); }

  // What writes are called until the name is another one; given back so that it can be restored.
  struct Name {
    Bytes writes = "set";
    Bytes deletes = "del";
  };
  Name rename(Name name) { return std::exchange(name_, name); }
  // A write was made; ask any() first.
  void wrote(Bytes collection, Bytes key, bool deletes, bool is_new);
  void tell(std::uint32_t kind, Bytes event, Bytes collection, Bytes key) const {
    tell_by(hooks_.say, kind, event, collection, key);
  }
  void tell_here(std::uint32_t kind, Bytes event, Bytes collection, Bytes key) const {
    tell_by(hooks_.say_here, kind, event, collection, key);
  }

 private:
  void tell_by(const Say& say, std::uint32_t kind, Bytes event, Bytes collection, Bytes key) const;

  const std::atomic<std::uint32_t>& flags_;
  Hooks hooks_;
  Name name_;
};

// What a command's writes are called.
KeyEvents::Name event_name_of(Bytes command);

}  // namespace dhrt
