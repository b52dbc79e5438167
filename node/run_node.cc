#include "node/run_node.h"

#include <cstdio>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "node/descriptors.h"
#include "node/exit_code.h"
#include "node/log.h"
#include "node/node.h"

namespace dhrt {

namespace {

// Messages to and from peers are up to a few hundred kilobytes and live for a turn. By itself glibc
// gives their memory back to the system at the end of it, and the next turn has every page of it
// made anew, which was half of what a replicated write cost.
void keep_memory_between_turns() {
#ifdef __GLIBC__
  constexpr int kept_bytes_max = 8 << 20;
  constexpr int own_mapping_bytes_min = 1 << 20;
  mallopt(M_TRIM_THRESHOLD, kept_bytes_max);
  mallopt(M_MMAP_THRESHOLD, own_mapping_bytes_min);
#endif
}

}  // namespace

int run_node(const NodeOptions& options) {
  keep_memory_between_turns();
  set_log_threshold(options.log_level);
  NodeOptions fitting = options;
  const auto lowered = fit_to_descriptors(fitting);
  const auto node = Node::open(fitting, {.handles_signals = true, .shows_banner = true});
  if (!node) {
    std::fprintf(stderr, "dhrt: %s\n", node.error().message.c_str());
    return exit_code::server_error;
  }
  // Of no interest to whom the start fails.
  if (lowered) log_warning(*lowered);
  return (*node)->run();
}

}  // namespace dhrt
