#include "node/redis_events.h"

#include <algorithm>
#include <array>

#include "node/redis_client.h"

namespace dhrt {

namespace {

struct Letter {
  char letter;
  std::uint32_t flag;
};
constexpr std::uint32_t other(unsigned number) {
  return 1U << (event_flags::others_from + number);
}
// In the order in which Redis shows them.
constexpr std::array kinds{Letter{'g', event_flags::generic},
                           Letter{'$', event_flags::strings},
                           Letter{'l', other(0)},
                           Letter{'s', other(1)},
                           Letter{'h', other(2)},
                           Letter{'z', other(3)},
                           Letter{'x', event_flags::expired},
                           Letter{'e', other(4)},
                           Letter{'t', other(5)},
                           Letter{'d', other(6)}};
// Those that A does not stand for.
constexpr std::array others{Letter{'n', event_flags::created}, Letter{'K', event_flags::keyspace},
                            Letter{'E', event_flags::keyevent}, Letter{'m', event_flags::missed}};
constexpr std::uint32_t all_kinds = [] {
  std::uint32_t flags = 0;
  for (const Letter& kind : kinds)
    flags |= kind.flag;
  return flags;
}();

std::string database_of(Bytes collection) {
  for (std::int64_t number = 0; number < redis_databases; ++number)
    if (collection == redis_collection(number)) return std::to_string(number);
  return std::string(collection);
}

}  // namespace

std::optional<std::uint32_t> parse_event_flags(Bytes text) {
  std::uint32_t flags = 0;
  for (const char c : text) {
    const auto kind = std::ranges::find(kinds, c, &Letter::letter);
    const auto rest = std::ranges::find(others, c, &Letter::letter);
    if (kind == kinds.end() && rest == others.end() && c != 'A') return std::nullopt;
    if (kind != kinds.end()) flags |= kind->flag;
    if (rest != others.end()) flags |= rest->flag;
    if (c == 'A') flags |= all_kinds;
  }
  return flags;
}

std::string event_flags_text(std::uint32_t flags) {
  std::string text;
  const auto append = [&](const Letter& letter) {
    if ((flags & letter.flag) != 0) text += letter.letter;
  };
  if ((flags & all_kinds) == all_kinds)
    text = "A";
  else
    std::ranges::for_each(kinds, append);
  std::ranges::for_each(others, append);
  return text;
}

void KeyEvents::wrote(Bytes collection, Bytes key, bool deletes, bool is_new) {
  constexpr std::array generic{Bytes("copy_to"), Bytes("expire"),    Bytes("move_to"),
                               Bytes("persist"), Bytes("rename_to"), Bytes("restore")};
  if (deletes) return tell(event_flags::generic, name_.deletes, collection, key);
  if (is_new) tell(event_flags::created, "new", collection, key);
  const bool is_generic = std::ranges::count(generic, name_.writes) > 0;
  tell(is_generic ? event_flags::generic : event_flags::strings, name_.writes, collection, key);
}

void KeyEvents::tell_by(const Say& say, std::uint32_t kind, Bytes event, Bytes collection,
                        Bytes key) const {
  if (!wants(kind)) return;
  const std::string database = database_of(collection);
  if (wants(event_flags::keyspace)) say("__keyspace@" + database + "__:" + std::string(key), event);
  if (wants(event_flags::keyevent)) say("__keyevent@" + database + "__:" + std::string(event), key);
}

KeyEvents::Name event_name_of(Bytes command) {
  struct Named {
    Bytes command;
    KeyEvents::Name name;
  };
  constexpr std::array names{
      Named{"append", {"append"}},
      Named{"bitfield", {"setbit"}},
      Named{"copy", {"copy_to"}},
      Named{"decr", {"incrby"}},
      Named{"decrby", {"incrby"}},
      Named{"expire", {"expire"}},
      Named{"expireat", {"expire"}},
      Named{"getex", {"expire"}},
      Named{"incr", {"incrby"}},
      Named{"incrby", {"incrby"}},
      Named{"incrbyfloat", {"incrbyfloat"}},
      Named{"move", {"move_to", "move_from"}},
      Named{"persist", {"persist"}},
      Named{"pexpire", {"expire"}},
      Named{"pexpireat", {"expire"}},
      Named{"rename", {"rename_to", "rename_from"}},
      Named{"renamenx", {"rename_to", "rename_from"}},
      Named{"restore", {"restore"}},
      Named{"setbit", {"setbit"}},
      Named{"setrange", {"setrange"}},
  };
  const auto found = std::ranges::find(names, command, &Named::command);
  return found == names.end() ? KeyEvents::Name{} : found->name;
}

}  // namespace dhrt
