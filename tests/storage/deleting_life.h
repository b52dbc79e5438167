// An engine over several starts, in words for what comes and goes.
#pragma once

#include <string>

#include "tests/storage/engine_life.h"

namespace dhrt::test {

struct DeletingLife : EngineLife {
  void crash() {
    engine.reset();
    ++options.run;
    engine = open_engine(options);
  }
  void stop_and_start() {
    must(engine->stop());
    crash();
  }
  std::string value(const std::string& key) {
    const auto record = must(users().find(key));
    if (!record) return "(none)";
    return record->deleted ? "(deleted)" : record->value;
  }
  void set(const std::string& key, const std::string& value, unsigned loop = 0) {
    set_own(store(loop), users(), key, value,
            own_origin(options.run, static_cast<std::uint16_t>(loop)));
  }
  void erase(const std::string& key, unsigned loop = 0) {
    set_own(store(loop), users(), key, "",
            own_origin(options.run, static_cast<std::uint16_t>(loop)), true);
  }
  // A cluster of this node alone: everybody has what is durable here.
  void allow() { store().forget_tombstones(users(), users().durable()); }
  std::uint64_t tombstones() { return users().counts().tombstones; }
  std::string path() const { return directory.file("collections/users.mdb"); }
};

}  // namespace dhrt::test
