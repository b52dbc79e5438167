// Stands in for the groups of the engine while there is none to link.
#include "tests/bench/storage/figures.h"

namespace dhrt::bench {

std::vector<Group> engine_groups() {
  return {};
}

}  // namespace dhrt::bench
