#include "storage/conflicts.h"

#include <array>
#include <charconv>
#include <utility>

#include "storage/counter.h"

namespace dhrt {

std::optional<std::string> kept_key(Bytes key, const Dot& dot) {
  std::array<char, 16> node{};
  const auto end = std::to_chars(node.data(), node.data() + node.size(), dot.origin.node, 16);
  std::string kept(kept_prefix);
  kept.append(key).append("/").append(node.data(), end.ptr);
  kept += "-" + std::to_string(dot.origin.epoch) + "-" + std::to_string(dot.origin.loop) + "-" +
          std::to_string(dot.sequence);
  if (kept.size() > key_bytes_max) return std::nullopt;
  return kept;
}

Conflicts::Conflicts(const Catalog& catalog, RecordWriter& writer)
    : catalog_(catalog), writer_(writer) {
  writer_.tell_conflicts_to(this);
}

Conflicts::~Conflicts() {
  writer_.tell_conflicts_to(nullptr);
}

bool Conflicts::keeps(const Collection& collection) const {
  return catalog_.config(collection.ref().name).on_conflict == OnConflict::keep;
}

void Conflicts::lost(const Collection& collection, const Lost& lost, std::optional<Record> record) {
  const std::string& name = collection.ref().name;
  // Two nodes that keep the same loser are no conflict about what is kept.
  if (system_collection_name(name) || is_kept_key(lost.key)) return;
  ++counts_[name];
  if (!record) return;
  if (auto kept = kept_key(lost.key, lost.loser))
    kept_.push_back({collection.ref(), {*std::move(kept), *std::move(record)}});
}

void Conflicts::write_kept(Collection& collection, WallMilliseconds wall, Show show) {
  for (const auto& [of, entry] : std::exchange(kept_, {})) {
    if (of != collection.ref()) continue;
    // A number is kept as it was: nobody counts on it.
    const std::string attributes = without_counter(entry.record.attributes);
    const WriteRequest request{.key = entry.key,
                               .value = entry.record.value,
                               .attributes = attributes,
                               .deadline = entry.record.deadline,
                               .if_absent = true};
    if (const auto written = writer_.write(collection, request, wall)) show(request, *written);
  }
}

}  // namespace dhrt
