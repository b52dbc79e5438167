#include "tests/simulator/registers.h"

#include <algorithm>
#include <set>

namespace dhrt::simulator {

Registers::Operation Registers::begin_set(const std::string& key) {
  made_.push_back({.sets = true, .key = key, .begin = ++now_});
  return made_.size() - 1;
}

Registers::Operation Registers::begin_get(const std::string& key) {
  made_.push_back({.sets = false, .key = key, .begin = ++now_});
  return made_.size() - 1;
}

void Registers::set_made(Operation operation, const std::string& what, bool deletes) {
  made_[operation].what = what;
  made_[operation].deletes = deletes;
}

void Registers::set_done(Operation operation) {
  made_[operation].end = ++now_;
}

void Registers::get_done(Operation operation, const std::string& what, bool deletes) {
  made_[operation].what = what;
  made_[operation].deletes = deletes;
  made_[operation].end = ++now_;
}

// A get that was not answered says nothing, and nobody can see a set that was not made.
bool Registers::matters(const Made& made) {
  return made.sets ? !made.what.empty() : made.end != never;
}

std::map<std::string, Registers::OfKey> Registers::by_key(bool tells_deletes) const {
  std::map<std::string, OfKey> keys;
  std::set<std::string> deletes;
  for (const Made& it : made_) {
    if (it.sets && it.deletes) deletes.insert(it.what);
  }
  for (const Made& it : made_) {
    if (!matters(it)) continue;
    OfKey& of_key = keys[it.key];
    // Before all else there was nothing.
    of_key.zones.try_emplace(std::string(), Zone{.set_begin = 0, .first_end = 0});
    const bool is_told = !it.deletes || (tells_deletes && deletes.contains(it.what));
    if (!it.sets && (it.what.empty() || !is_told)) {
      of_key.nothings.push_back(&it);
      continue;
    }
    of_key.zones[it.what].take(it);
    if (it.sets && it.deletes) of_key.deletes.push_back(&it);
  }
  return keys;
}

void Registers::Zone::take(const Made& made) {
  if (made.sets) {
    what = made.what;
    set_begin = made.begin;
  }
  first_end = std::min(first_end, made.end);
  last_begin = std::max(last_begin, made.begin);
  seen = seen || made.end != never;
}

// What each get that saw nothing saw: the beginning, or one of the deletes. Whatever is added to a
// zone makes no contradiction go away, so each is tried in its turn; mostly it is what the last one
// saw, or what was deleted since.
bool Registers::explains(OfKey& of_key, std::size_t next, const std::string& last,
                         unsigned& tries) {
  if (next == of_key.nothings.size()) return true;
  const Made& get = *of_key.nothings[next];
  std::vector<std::string> candidates{last};
  for (const Made* set : of_key.deletes) {
    if (set->what != last && set->begin < get.end) candidates.push_back(set->what);
  }
  if (!last.empty()) candidates.emplace_back();
  for (const std::string& what : candidates) {
    if (++tries > tries_max) return false;
    const Zone before = of_key.zones[what];
    of_key.zones[what].take(get);
    if (!contradiction(of_key.zones) && explains(of_key, next + 1, what, tries)) return true;
    of_key.zones[what] = before;
  }
  return false;
}

std::optional<std::string> Registers::contradiction(const Zones& zones) {
  for (const auto& [what, zone] : zones) {
    if (!zone.seen) continue;
    if (!zone.set_begin) return "nobody set " + what;
    if (zone.first_end < *zone.set_begin) return what + " was seen before it was set";
    if (!zone.is_forward()) continue;
    for (const auto& [other_what, other] : zones) {
      if (other_what == what || !other.seen) continue;
      const auto [from, to] = std::minmax(other.first_end, other.last_begin);
      const bool overlap = zone.first_end < to && from < zone.last_begin;
      const bool within = zone.first_end < from && to < zone.last_begin;
      if (other.is_forward() ? overlap : within)
        return "from " + std::to_string(zone.first_end) + " to " + std::to_string(zone.last_begin) +
               " there was " + (what.empty() ? "nothing" : what) + ", but " +
               (other_what.empty() ? "nothing" : other_what) + " in between";
    }
  }
  return std::nullopt;
}

std::string Registers::describe(const std::string& key) const {
  std::string text;
  for (const Made& it : made_) {
    if (it.key != key || !matters(it)) continue;
    text += "\n  " + std::to_string(it.begin) + " to " +
            (it.end == never ? "?" : std::to_string(it.end)) +
            (it.deletes ? " delete "
             : it.sets  ? " set "
                        : " get ") +
            (it.what.empty() ? "(nothing)" : it.what);
  }
  return text;
}

// The first is almost always enough, and has fewer ways to try.
std::optional<std::string> Registers::violation() const {
  return violation(true) ? violation(false) : std::nullopt;
}

std::optional<std::string> Registers::violation(bool tells_deletes) const {
  for (auto& [key, of_key] : by_key(tells_deletes)) {
    auto wrong = contradiction(of_key.zones);
    unsigned tries = 0;
    if (!wrong && !explains(of_key, 0, std::string(), tries))
      wrong =
          tries > tries_max ? "too many ways to try" : "no delete left what was seen as nothing";
    if (wrong)
      return "no order explains what was seen of key " + key + ": " + *wrong + describe(key);
  }
  return std::nullopt;
}

}  // namespace dhrt::simulator
