#include "storage/log_index.h"

#include <utility>

namespace dhrt {

Result<LogIndex> LogIndex::open(const ReadTxn& txn, const OriginTable& origins) {
  auto cursor = LmdbCursor::open(txn, LmdbTable::log);
  if (!cursor) return tl::unexpected(cursor.error());
  return LogIndex(std::move(*cursor), origins);
}

LogIndex::LogIndex(LmdbCursor cursor, const OriginTable& origins) : cursor_(std::move(cursor)) {
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const auto alias = static_cast<std::uint16_t>(i);
    aliases_.emplace(*origins.origin(alias), alias);
  }
}

std::optional<Dot> LogIndex::seek(const Dot& from) {
  for (auto it = aliases_.lower_bound(from.origin); it != aliases_.end(); ++it) {
    const auto& [origin, alias] = *it;
    cursor_.seek(log_key({alias, origin == from.origin ? from.sequence : 0}));
    if (!cursor_.status()) return std::nullopt;
    const auto found = cursor_.valid() ? parse_log_key(cursor_.key()) : std::nullopt;
    if (found && found->origin == alias) return Dot{origin, found->sequence};
  }
  return std::nullopt;
}

}  // namespace dhrt
