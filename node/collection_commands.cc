#include <utility>

#include "node/command_input.h"
#include "node/commands.h"
#include "protocol/duration.h"

namespace dhrt::commands {

namespace {

Status check_placement(const Arguments& arguments) {
  const auto replicas = arguments.value_of("replicas");
  const auto partitions = arguments.value_of("partitions");
  const bool placed =
      arguments.has("on") || (replicas && *replicas != "all") || (partitions && *partitions != "1");
  if (!placed) return {};
  return fail(ErrorCode::invalid_argument,
              "collections are not yet placed: every node holds all of them; leave out --on and "
              "--partitions, and say --replicas all");
}

template <typename Value>
struct Choice {
  Bytes name;
  Value value;
};

// The value that the flag names; untouched if the flag was not given.
template <typename Value, std::size_t count>
Status choose(const Arguments& arguments, Bytes flag, const Choice<Value> (&choices)[count],
              Value& value) {
  const auto given = arguments.value_of(flag);
  if (!given) return {};
  std::string names;
  for (const Choice<Value>& choice : choices) {
    if (choice.name == *given) {
      value = choice.value;
      return {};
    }
    names += names.empty() ? "" : " or ";
    names += choice.name;
  }
  return fail(ErrorCode::invalid_argument, "--" + std::string(flag) + " is " + names);
}

Result<CollectionConfig> config_of(const Arguments& arguments, CollectionConfig config) {
  if (arguments.has("memory") && arguments.has("disk"))
    return fail(ErrorCode::invalid_argument, "give --memory or --disk, not both");
  if (arguments.has("memory")) config.memory = true;
  if (arguments.has("disk")) config.memory = false;
  if (auto status = check_placement(arguments); !status) return tl::unexpected(status.error());
  if (const auto ttl = arguments.value_of("ttl")) {
    const auto duration = parse_duration(*ttl);
    if (!duration) return fail(duration.error(), "--ttl");
    config.ttl_milliseconds = static_cast<std::uint64_t>(duration->count());
  }
  constexpr Choice<OnConflict> conflicts[] = {{"last", OnConflict::last},
                                              {"keep", OnConflict::keep}};
  constexpr Choice<MissPolicy> misses[] = {{"fanout", MissPolicy::fanout},
                                           {"auto", MissPolicy::automatic},
                                           {"local", MissPolicy::local}};
  if (auto status = choose(arguments, "on-conflict", conflicts, config.on_conflict); !status)
    return tl::unexpected(status.error());
  if (auto status = choose(arguments, "miss", misses, config.miss); !status)
    return tl::unexpected(status.error());
  return config;
}

void acknowledge(CommandCall& call, const Result<Position>& done) {
  if (!done) return call.fail(done.error());
  call.reply(Reply::ok(), *done);
}

}  // namespace

void create(CommandCall& call) {
  const std::string& name = call.words()[1];
  if (auto status = check_collection(name); !status) return call.fail(status.error());
  // The node's defaults; a name that was dropped before starts from them again.
  const auto config = config_of(call.arguments(), call.database().default_config(name));
  if (!config) return call.fail(config.error());
  acknowledge(call, call.database().create(name, *config));
}

void drop(CommandCall& call) {
  if (auto status = check_collection(call.words()[1]); !status) return call.fail(status.error());
  acknowledge(call, call.database().drop(call.words()[1]));
}

void flush(CommandCall& call) {
  if (auto status = check_collection(call.words()[1]); !status) return call.fail(status.error());
  acknowledge(call, call.database().flush(call.words()[1]));
}

void collections(CommandCall& call) {
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  call.reply(Reply::bulk(call.server().report.collections(call.session().grant())));
}

}  // namespace dhrt::commands
