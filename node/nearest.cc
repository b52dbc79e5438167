#include "node/nearest.h"

#include <algorithm>
#include <cstddef>

namespace dhrt {

namespace {

// A longer word is no slip of the finger; the bound keeps the work small.
constexpr std::size_t name_bytes_max = 64;

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view typed,
                                        const std::vector<std::string>& known) {
  if (typed.empty() || typed.size() > name_bytes_max) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_cost = std::max(typed.size() / 3, std::size_t{1}) + 1;
  for (const auto& name : known) {
    // The beginning of a name is the likeliest of its abbreviations.
    const bool begins = typed.size() >= 3 && name.starts_with(typed);
    const std::size_t cost = begins ? 1 : distance(typed, name);
    if (cost < best_cost) {
      best = name;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace dhrt
