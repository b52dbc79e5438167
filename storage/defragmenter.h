// Gives memory back that records of other sizes left free.
//
// Intuition: blocks of a slab are of fixed sizes, and a chunk of them is of use to others only when
// it is empty. Where much of a stripe's memory is free in chunks that are partly used, the slab
// chooses the emptiest; their records are found by going through the tables, and moved to the free
// blocks of the other chunks. Each record that is moved frees about as much as it takes.
//
// Bounds: an eighth of the bytes of each size, and a chunk, stay free. A pass looks at every slot
// of a stripe, in steps. Threads: those of one loop at a time.
#pragma once

#include <cstddef>
#include <vector>

#include "storage/table.h"

namespace dhrt {

class EngineCollection;

class Defragmenter {
 public:
  explicit Defragmenter(Stripes& stripes) : stripes_(stripes) {}

  // One step, of as many records, or sixty-four times as many slots, as `budget` says. True: there
  // is more to do at once. `collections` are all there are; who comes or goes in the middle of a
  // pass makes it miss some records, which the next one finds.
  bool step(const std::vector<EngineCollection*>& collections, std::size_t budget);

 private:
  bool begin_pass();
  void end_pass();

  Stripes& stripes_;
  std::size_t stripe_ = 0;  // In work, or to be looked at next.
  bool in_pass_ = false;
  bool has_moved_ = false;      // Something, in this pass.
  std::size_t collection_ = 0;  // Where the pass is.
  std::size_t slot_ = 0;
};

}  // namespace dhrt
