#include "cluster/levels.h"

#include <algorithm>
#include <array>
#include <utility>

namespace dhrt {

namespace {

constexpr std::array<std::string_view, 4> write_levels{"one", "quorum", "all", "linear"};
constexpr std::array<std::string_view, 4> read_levels{"one", "fanout", "quorum", "linear"};

template <typename Level>
std::optional<Level> parse(const std::array<std::string_view, 4>& names, std::string_view text) {
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) return std::nullopt;
  return static_cast<Level>(found - names.begin());
}

}  // namespace

std::string_view to_text(WriteLevel level) {
  return write_levels[static_cast<std::size_t>(level)];
}

std::string_view to_text(ReadLevel level) {
  return read_levels[static_cast<std::size_t>(level)];
}

std::optional<WriteLevel> parse_write_level(std::string_view text) {
  return parse<WriteLevel>(write_levels, text);
}

std::optional<ReadLevel> parse_read_level(std::string_view text) {
  return parse<ReadLevel>(read_levels, text);
}

std::vector<NodeId> Quorums::counted(std::vector<NodeId> nodes) const {
  if (options_.level_mutant == LevelMutant::joining_votes) {
    nodes.clear();
    for (const auto& [node, member] : membership_.members()) {
      if (member.liveness < Liveness::left) nodes.push_back(node);
    }
  }
  if (options_.level_mutant == LevelMutant::majority_of_reachable) {
    std::erase_if(nodes, [this](NodeId node) {
      return node != membership_.self_id() && !links_.link(node, LinkClass::control);
    });
  }
  return nodes;
}

Tally Quorums::tally(const std::vector<NodeId>& nodes, const std::set<NodeId>& present,
                     bool wants_all) const {
  const auto count = static_cast<std::uint32_t>(
      std::ranges::count_if(nodes, [&](NodeId node) { return present.contains(node); }));
  const auto of = static_cast<std::uint32_t>(nodes.size());
  const std::uint32_t need = wants_all ? std::max(of, 1U) : of / 2 + 1;
  return {count >= need && voters_.is_current(), count, need};
}

Tally Quorums::asked(const std::set<NodeId>& voted) const {
  return tally(counted(voters_.layout().voters), voted, false);
}

Tally Quorums::held(const std::set<NodeId>& have) const {
  const Layout& layout = voters_.layout();
  const Tally now = tally(counted(layout.voters), have, false);
  if (!now.reached || options_.level_mutant == LevelMutant::next_not_counted) return now;
  return tally(counted(layout.next_voters()), have, false);
}

Tally Quorums::all(const std::set<NodeId>& have) const {
  return tally(nodes(), have, true);
}

// A change adds somebody, retires one who is among the voters until then, or both.
std::vector<NodeId> Quorums::nodes() const {
  const Layout& layout = voters_.layout();
  return counted(layout.contains(layout.next.retires) ? layout.voters : layout.next_voters());
}

}  // namespace dhrt
