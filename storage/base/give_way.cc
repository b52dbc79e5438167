#include "storage/base/give_way.h"

#include <thread>

namespace dhrt {

namespace {

thread_local bool gives_way_here = false;

}  // namespace

void set_gives_way(bool gives_way) {
  gives_way_here = gives_way;
}

bool gives_way() {
  return gives_way_here;
}

void give_way() {
  if (gives_way_here) std::this_thread::yield();
}

}  // namespace dhrt
