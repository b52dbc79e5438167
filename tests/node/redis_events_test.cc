#include "node/redis_events.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;

TEST_CASE("keyspace events: the letters of the setting are shown as Redis shows them") {
  struct Row {
    Bytes given;
    Bytes shown;
  };
  for (const auto& [given, shown] :
       {Row{"", ""}, Row{"KEA", "AKE"}, Row{"Kg$x", "g$xK"}, Row{"Elm", "lEm"},
        Row{"g$lshzxetd", "A"}, Row{"nKE", "nKE"}, Row{"AAKK", "AK"}, Row{"dtzhs", "shztd"}}) {
    CAPTURE(given);
    const auto flags = parse_event_flags(given);
    REQUIRE(flags.has_value());
    CHECK(event_flags_text(*flags) == shown);
    CHECK(parse_event_flags(shown) == flags);
  }
  for (const Bytes bad : {"Q", "KEa", "K E", "KE,"})
    CHECK_FALSE(parse_event_flags(bad).has_value());
}

TEST_CASE("keyspace events: what is asked for is told, by key and by event") {
  std::atomic<std::uint32_t> flags{0};
  std::vector<std::string> said, said_here;
  KeyEvents events(flags, {[&](const std::string& channel, Bytes payload) {
                             said.push_back(channel + " " + std::string(payload));
                           },
                           [&](const std::string& channel, Bytes payload) {
                             said_here.push_back(channel + " " + std::string(payload));
                           }});
  CHECK_FALSE(events.any());
  events.wrote("default", "k", false, true);
  CHECK(said.empty());
  flags = *parse_event_flags("KEA");
  CHECK(events.any());
  events.wrote("default", "k", false, true);
  CHECK(said == std::vector<std::string>{"__keyspace@0__:k set", "__keyevent@0__:set k"});
  said.clear();
  flags = *parse_event_flags("Kn$");
  events.wrote("orders", "k", false, true);
  events.wrote("db7", "k", true, false);
  CHECK(said == std::vector<std::string>{"__keyspace@orders__:k new", "__keyspace@orders__:k set"});
  said.clear();
  flags = *parse_event_flags("Eg");
  const KeyEvents::Name outer = events.rename(event_name_of("rename"));
  events.wrote("db7", "to", false, false);
  events.wrote("db7", "from", true, false);
  events.rename(outer);
  events.wrote("db7", "to", true, false);
  CHECK(said == std::vector<std::string>{"__keyevent@7__:rename_to to",
                                         "__keyevent@7__:rename_from from",
                                         "__keyevent@7__:del to"});
  events.tell_here(event_flags::expired, "expired", "default", "k");
  CHECK(said_here.empty());
  flags = *parse_event_flags("Ex");
  events.tell_here(event_flags::expired, "expired", "default", "k");
  CHECK(said_here == std::vector<std::string>{"__keyevent@0__:expired k"});
}
