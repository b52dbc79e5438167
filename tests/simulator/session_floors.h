// What one session has written and been shown, and whether an answer is in keeping with it (SESS).
//
// Intuition: of each key the session knows a floor, the newest record that it wrote or was shown.
// What it is shown later is the floor or above it: it reads its own writes, and reads never go
// back. What it writes is above the floor: its writes have the order in which they were made, and
// follow what they were made after. Terry et al., PDIS 1994, section 3, for one key at a time.
//
// "Above" is the order of versions, which the history knows of every dot. That a key is not there
// is in keeping with a floor if a delete above it was made: which one is forgotten.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "storage/record.h"
#include "tests/simulator/history.h"
#include "tests/simulator/session_desk.h"

namespace dhrt::simulator {

class SessionFloors {
 public:
  // The history outlives it.
  explicit SessionFloors(History& history) : history_(history) {}

  // What is wrong with an answer, which is taken in; absent: nothing.
  std::optional<std::string> take(const SessionRequest& request, const SessionAnswer& answer);
  // The token has what is in no life of its collection: a read met a drop. Begin anew.
  bool met_a_drop() const { return met_a_drop_; }
  // Of a new session.
  void clear() {
    floors_.clear();
    met_a_drop_ = false;
  }

  struct Key {
    std::string collection;
    std::string key;
    auto operator<=>(const Key&) const = default;
  };
  struct Floor {
    CollectionRef collection;
    Record record;
  };
  const std::map<Key, Floor>& floors() const { return floors_; }

 private:
  std::optional<std::string> take_nothing(const SessionRequest& request,
                                          const SessionAnswer& answer);
  std::optional<std::string> take_dot(const SessionRequest& request, const SessionAnswer& answer,
                                      const Record& made);

  History& history_;
  std::map<Key, Floor> floors_;
  bool met_a_drop_ = false;
};

}  // namespace dhrt::simulator
