#include "node/hati_storage.h"

#include <array>

#include "protocol/json.h"

namespace dhrt::hati {

namespace {

constexpr std::array storages{memory_collection, disk_collection};

// Exact if few records were written blindly, as in other reports.
CollectionCounts counts_of(CommandServer& server, Bytes type) {
  Collection* collection = server.database.find(type);
  if (collection == nullptr) return {};
  CountCursor from;
  collection->settle_counts(from, 512);
  return collection->counts();
}

}  // namespace

bool is_storage(Bytes type) {
  return type == memory_collection || type == disk_collection;
}

std::string stats(CommandServer& server, const Grant& grant) {
  json::Writer writer;
  writer.begin_object();
  for (const Bytes type : storages) {
    if (!grant.may(Role::read, type)) continue;
    const CollectionCounts counts = counts_of(server, type);
    writer.key(type).begin_object();
    writer.key("keys").number(counts.live);
    writer.key("bytes").number(counts.bytes);
    writer.key("shards").begin_array().number(counts.live).end_array();
    writer.end_object();
  }
  writer.key("connections").number(server.report.figures().connections);
  writer.end_object();
  return writer.take();
}

}  // namespace dhrt::hati
