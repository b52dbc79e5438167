#include "cluster/options.h"

namespace dhrt {

// Half of everything: a death is known in less than two seconds, and a stall of half a second is
// noticed.
ClusterOptions ClusterOptions::fast() {
  ClusterOptions options;
  options.probe_interval = 250ms;
  options.probe_timeout = 100ms;
  options.first_probe_delay = 1s;
  options.dial_patience = 500ms;
  options.redial_min = 250ms;
  options.mismatch_patience = 500ms;
  return options;
}

// Round trips of up to half a second, and lines that fail for seconds.
ClusterOptions ClusterOptions::wan() {
  ClusterOptions options;
  options.probe_interval = 2s;
  options.probe_timeout = 800ms;
  options.first_probe_delay = 6s;
  options.suspicion_multiplier = 5;
  options.dial_patience = 3s;
  options.redial_min = 1s;
  options.mismatch_patience = 3s;
  options.pull_timeout = 30s;
  options.pull_retry_after = 3s;
  options.pull_slice_bytes = std::uint32_t{1} << 20;
  options.compared_bytes = std::uint32_t{1} << 20;
  options.self_attest_after = 10s;
  options.read_timeout = 4s;
  return options;
}

}  // namespace dhrt
