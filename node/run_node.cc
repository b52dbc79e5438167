#include "node/run_node.h"

#include <cstdio>

#include "node/exit_code.h"
#include "node/log.h"
#include "node/node.h"

namespace dhrt {

int run_node(const NodeOptions& options) {
  set_log_threshold(options.log_level);
  if (const auto refused = raise_descriptor_limit(options.max_clients)) log_warning(*refused);
  const auto node = Node::open(options, {.handles_signals = true, .shows_banner = true});
  if (!node) {
    std::fprintf(stderr, "dhrt: %s\n", node.error().message.c_str());
    return exit_code::server_error;
  }
  return (*node)->run();
}

}  // namespace dhrt
