#include "storage/engine_tally.h"

namespace dhrt {

void EngineTally::write_off(OriginAlias origin) {
  if (origin >= origins_.size()) return;
  OfOrigin& dead = origins_[origin];
  counts_.live -= dead.live;
  counts_.bytes -= dead.bytes;
  counts_.tombstones += dead.live;
  dead = {};
}

}  // namespace dhrt
