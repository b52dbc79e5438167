// An engine and its directory, over several starts.
#pragma once

#include <memory>
#include <string>

#include "tests/storage/engine_bench.h"

namespace dhrt::test {

struct EngineLife {
  TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  std::unique_ptr<Engine> engine = open_engine(options);

  Store& store(unsigned loop = 0) { return engine->store(loop); }
  Collection& users() { return *must(store().open({.ref = {"users", 1}, .memory = false})); }
  void settle() {
    for (unsigned loop = 0; loop < options.loops; ++loop) {
      must(store(loop).drain());
      store(loop).collect();
    }
  }
  std::string notes() const {
    std::string all;
    for (const std::string& note : engine->notes())
      all += note + "\n";
    return all;
  }
};

}  // namespace dhrt::test
