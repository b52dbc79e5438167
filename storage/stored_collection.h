// What a store itself asks of its collections, of whatever kind they are.
//
// Threads: the one that owns the store.
#pragma once

#include "storage/store.h"

namespace dhrt {

class StoredCollection : public Collection {
 public:
  // Everything up to `durable` survives a power cut. True if the durable or the flushed context
  // changed by that.
  virtual bool advance(Position durable) = 0;
  // True if something was appended that is not durable yet.
  virtual bool waiting() const = 0;
};

}  // namespace dhrt
