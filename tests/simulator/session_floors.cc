#include "tests/simulator/session_floors.h"

namespace dhrt::simulator {

namespace {

// The node that made the floor was given up, and with it the floor, perhaps: others have a later
// write of it, so that the token's number does not show what is missing (README of node).
bool is_given_up(const Record& floor, const SessionAnswer& answer) {
  const Origin& origin = floor.dot.origin;
  return answer.evicted.contains(origin.node) && answer.ended.contains(origin) &&
         !answer.seen.contains(floor.dot);
}

std::string to_text(SessionRequest::Kind kind) {
  switch (kind) {
    case SessionRequest::Kind::get:
      return "shown";
    case SessionRequest::Kind::set:
      return "given as its set";
    case SessionRequest::Kind::remove:
      return "given as its delete";
  }
  return "";
}

}  // namespace

std::optional<std::string> SessionFloors::take_nothing(const SessionRequest& request,
                                                       const SessionAnswer& answer) {
  const auto found = floors_.find({request.collection, request.key});
  if (found == floors_.end()) return std::nullopt;
  Floor& floor = found->second;
  if (answer.collection.generation > floor.collection.generation) {
    floors_.erase(found);  // It was dropped since, with all that was seen of it.
    return std::nullopt;
  }
  if (is_given_up(floor.record, answer)) return std::nullopt;
  switch (history_.why_gone(floor.collection, request.key, floor.record)) {
    case History::Gone::no:
      return "was shown nothing";
    case History::Gone::flushed:
      return std::nullopt;
    case History::Gone::deleted:
      // Those who were given up may not know the delete, and it is not in the token.
      if (!history_.gives_up_nodes())
        floor.record = *history_.delete_above(floor.collection, request.key, floor.record);
      return std::nullopt;
  }
  return std::nullopt;
}

// A flush makes tombstones of what it knows and takes nothing from the token: the tombstone of the
// floor is the floor itself, here and not yet elsewhere.
std::optional<std::string> SessionFloors::take_dot(const SessionRequest& request,
                                                   const SessionAnswer& answer,
                                                   const Record& made) {
  const auto [found, is_new] =
      floors_.try_emplace({request.collection, request.key}, Floor{answer.collection, made});
  Floor& floor = found->second;
  const std::uint32_t life = floor.collection.generation;
  // Was dropped since, with all that was seen of it.
  if (answer.collection.generation > life) floor = {answer.collection, made};
  if (is_new || answer.collection.generation > life) return std::nullopt;
  const std::string given = "was " + to_text(request.kind) + " " + describe(made);
  if (answer.collection.generation < life) return given + " of an earlier life";
  const auto order = compare(made, floor.record);
  if (order > 0 || (order == 0 && !answer.wrote)) {
    floor.record = made;
    return std::nullopt;
  }
  if (is_given_up(floor.record, answer)) return std::nullopt;
  // What is left of a delete may be older than it: of a record that came back after the delete was
  // forgotten, and was deleted once more. To a client both are nothing.
  const bool is_gone = !answer.record && !answer.wrote;
  const auto why = history_.why_gone(floor.collection, request.key, floor.record);
  if (is_gone && why != History::Gone::no) return std::nullopt;
  if (!history_.may_have_come_late(floor.collection, request.key, floor.record, made.dot))
    return given;
  floor.record = made;
  return std::nullopt;
}

std::optional<std::string> SessionFloors::take(const SessionRequest& request,
                                               const SessionAnswer& answer) {
  const auto found = floors_.find({request.collection, request.key});
  const std::string known =
      "key " + request.key + " of " + request.collection + ", known as " +
      describe(found == floors_.end() ? std::optional<Record>() : found->second.record) + ", ";
  std::optional<std::string> wrong;
  if (answer.dot.sequence == 0) {
    wrong = take_nothing(request, answer);
  } else {
    auto made = history_.made(answer.collection, request.key, answer.dot);
    // A node that takes in several records of a counter joins them one after the other, and the
    // history knows the last one only.
    if (!made && request.collection == "counters") made = answer.record;
    const bool is_it = made && (!answer.record || answer.record->version == made->version);
    // Another node answered with what was in the collection before it was dropped.
    met_a_drop_ = met_a_drop_ || (!is_it && history_.excuses(request.collection));
    if (is_it)
      wrong = take_dot(request, answer, *made);
    else if (!met_a_drop_ && request.collection != "counters")
      wrong = "was shown what nobody wrote, " + describe(answer.record);
  }
  return wrong ? std::optional(known + *wrong) : std::nullopt;
}

}  // namespace dhrt::simulator
