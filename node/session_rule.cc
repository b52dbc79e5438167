#include "node/session_rule.h"

#include <algorithm>

namespace dhrt {

bool has_ended_everywhere(const Origin& origin, const std::map<NodeId, Member>& members,
                          bool agrees_with_all) {
  if (!agrees_with_all) return false;
  const auto member = members.find(origin.node);
  // Of whom we have not heard yet we know nothing.
  return member != members.end() &&
         (member->second.liveness == Liveness::evicted || member->second.epoch > origin.epoch);
}

// What an origin that has ended left out is nowhere: then what is here of it is all.
std::optional<Origin> missing_of(const Context& seen, const SessionToken::Tips& tips,
                                 HasEnded has_ended) {
  for (const auto& [origin, sequence] : tips) {
    const IntervalSet* const own = seen.find(origin);
    if (own != nullptr && own->tip() >= sequence) continue;
    const bool has_it = own != nullptr && own->contains(sequence);
    if (!has_it || !has_ended(origin)) return origin;
  }
  return std::nullopt;
}

CollectionRef shown_in(Database& database, Bytes collection) {
  if (const Collection* const place = database.find(collection)) return place->ref();
  return {.name = std::string(collection), .generation = database.config(collection).generation};
}

std::optional<SessionRule::Look> SessionRule::missing(const CollectionRef& collection,
                                                      const SessionToken::Tips& tips) {
  // It was dropped since, with all that the client saw of it.
  if (database_.config(collection.name).generation > collection.generation) return std::nullopt;
  const Collection* const held = database_.find(collection.name);
  std::optional<Origin> origin = tips.begin()->first;
  if (held != nullptr && held->ref() == collection) {
    const auto [context, is_new] = contexts_.try_emplace(collection.name);
    if (is_new) context->second = held->seen();
    origin = missing_of(context->second, tips, has_ended_);
  }
  if (!origin) return std::nullopt;
  return Look{has_ended_(*origin) ? SessionSight::lost : SessionSight::not_yet, collection.name,
              *origin};
}

SessionRule::Look SessionRule::look(const SessionToken& token,
                                    const std::vector<std::string>& collections) {
  for (const auto& [collection, tips] : token.seen()) {
    if (std::ranges::find(collections, collection.name) == collections.end()) continue;
    if (const auto missed = missing(collection, tips)) return *missed;
  }
  return {};
}

}  // namespace dhrt
