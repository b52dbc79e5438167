// Histories of keys that clients only set and read at level linear, and whether they could have
// come from one copy of each (LINQ).
//
// Intuition: everything that is set is told apart from everything else, so that each get names the
// set that it saw. A set and its gets must then stand side by side in any order that explains them:
// from the first of them that ended to the last of them that began the register had this value,
// and no other (its forward zone); or all of them overlap, and they may stand anywhere between
// (a backward zone). Source: Gibbons, Korach 1997, Testing shared memories, section 4, with the
// zones of Golab, Li, Shah 2011. An operation of which the client never learned the outcome may
// take effect at any time after its beginning, or never. A get that saw nothing may have seen any
// delete, for deletes are forgotten: it is enough if some choice explains all of them. One that saw
// a delete may have seen another one, too: the latest may be forgotten where an earlier one is not,
// and both are nothing to a client.
//
// Cost: n log n for n operations, and the pairs of zones of a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dhrt::simulator {

class Registers {
 public:
  using Operation = std::size_t;

  Operation begin_set(const std::string& key);
  Operation begin_get(const std::string& key);
  // From now on others may see it. `what`: not empty, and set once in the whole history, also if it
  // is a delete. Without this the set has no effect.
  void set_made(Operation operation, const std::string& what, bool deletes = false);
  void set_done(Operation operation);
  // Empty: it saw that nothing was ever there, or a delete that is forgotten. `deletes`: it saw a
  // delete, perhaps one that was made anew, under a name that no set has, or that of what it
  // deletes.
  void get_done(Operation operation, const std::string& what, bool deletes = false);

  // Absent: all histories are linearizable. Otherwise what is wrong with the first that is not.
  std::optional<std::string> violation() const;

 private:
  static constexpr std::size_t never = ~std::size_t{0};
  struct Made {
    bool sets = false;
    std::string key;
    std::string what;
    bool deletes = false;
    std::size_t begin = 0;
    std::size_t end = never;
  };
  // Of one set and its gets; all times are counts of what has happened.
  struct Zone {
    std::string what;
    std::optional<std::size_t> set_begin;  // Absent: nobody set that.
    std::size_t first_end = never;
    std::size_t last_begin = 0;
    bool seen = false;  // A get has shown it, or the set was answered.
    void take(const Made& made);
    bool is_forward() const { return first_end < last_begin; }
  };
  using Zones = std::map<std::string, Zone>;
  struct OfKey {
    Zones zones;
    std::vector<const Made*> nothings;  // Gets, by their beginnings.
    std::vector<const Made*> deletes;
  };
  static constexpr unsigned tries_max = 100'000;
  static bool matters(const Made& made);
  // `tells_deletes`: a get saw the delete that it names.
  std::map<std::string, OfKey> by_key(bool tells_deletes) const;
  std::optional<std::string> violation(bool tells_deletes) const;
  static std::optional<std::string> contradiction(const Zones& zones);
  static bool explains(OfKey& of_key, std::size_t next, const std::string& last, unsigned& tries);
  std::string describe(const std::string& key) const;

  std::vector<Made> made_;
  std::size_t now_ = 0;
};

}  // namespace dhrt::simulator
