#include "node/descriptors.h"

#include <algorithm>
#include <sys/resource.h>

namespace dhrt {

namespace {

// Peers, logs, a backup, clients that are told that there are too many, what each loop needs.
constexpr std::uint64_t reserve_wanted = 1024;

// Of each collection that may be made.
std::uint64_t per_collection(const NodeOptions& options) {
  return options.memory ? 0 : descriptors_per_collection;
}

}  // namespace

std::uint64_t descriptors_wanted(const NodeOptions& options) {
  return options.max_clients + per_collection(options) * options.max_collections + reserve_wanted;
}

NodeCapacity capacity_with(std::uint64_t descriptors, const NodeOptions& options) {
  const NodeCapacity asked{.clients = options.max_clients, .collections = options.max_collections};
  if (descriptors >= descriptors_wanted(options)) return asked;
  const std::uint64_t left = descriptors - std::min(reserve_wanted, descriptors / 4);
  const std::uint64_t each = per_collection(options);
  const std::uint64_t beside_clients = left - std::min(left, asked.clients);
  const std::uint64_t files =
      std::min(each * asked.collections, std::max(beside_clients, left / 4));
  NodeCapacity capacity = asked;
  capacity.clients = std::clamp<std::uint64_t>(left - files, 1, asked.clients);
  if (each > 0) capacity.collections = std::max<std::uint64_t>(files / each, 1);
  return capacity;
}

std::uint64_t raise_descriptor_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur >= wanted) return limit.rlim_cur;
  const rlim_t before = limit.rlim_cur;
  // Who may raise the hard limit does, as a container's root can.
  rlimit raised{.rlim_cur = wanted, .rlim_max = std::max<rlim_t>(limit.rlim_max, wanted)};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

std::optional<std::string> fit_to_descriptors(NodeOptions& options) {
  const std::uint64_t wanted = descriptors_wanted(options);
  const std::uint64_t reached = raise_descriptor_limit(wanted);
  const NodeCapacity capacity = capacity_with(reached, options);
  if (reached >= wanted) return std::nullopt;
  std::string sentence = "the system allows " + std::to_string(reached) + " open files, " +
                         std::to_string(wanted) + " are needed for --max-clients " +
                         std::to_string(options.max_clients) + " and --max-collections " +
                         std::to_string(options.max_collections) + "; this node takes " +
                         std::to_string(capacity.clients) + " clients and " +
                         std::to_string(capacity.collections) + " collections; raise `ulimit -n`";
  options.max_clients = capacity.clients;
  options.max_collections = capacity.collections;
  return sentence;
}

}  // namespace dhrt
