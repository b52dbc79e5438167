// Peers that are not let in, or that do not let this node in: counted each, told in the log once a
// minute for each reason, so that who tries again and again does not fill it.
//
// Bounds: `reasons_max` of them are told apart. Threads: one.
#pragma once

#include <map>
#include <string>

#include "node/figures.h"
#include "node/log.h"
#include "storage/base/system_clock.h"

namespace dhrt {

class RefusedPeers {
 public:
  static constexpr Duration told_interval{60000};
  static constexpr std::size_t reasons_max = 64;

  // `figures` outlives this.
  explicit RefusedPeers(NodeFigures& figures) : figures_(figures) {}

  void note(const std::string& what, const std::string& peer, const std::string& reason) {
    ++figures_.peers_refused_total;
    const Time now = monotonic_now();
    std::erase_if(told_, [now](const auto& told) { return now - told.second >= told_interval; });
    if (told_.size() == reasons_max || !told_.try_emplace(what + "\n" + reason, now).second) return;
    log_warning(what, {{"peer", peer},
                       {"reason", reason},
                       {"so_far", std::to_string(figures_.peers_refused_total)}});
  }

 private:
  NodeFigures& figures_;
  std::map<std::string, Time> told_;
};

}  // namespace dhrt
