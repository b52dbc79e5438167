#include <charconv>
#include <memory>
#include <utility>

#include "node/command_input.h"
#include "node/commands.h"
#include "node/count_keys.h"
#include "node/http_record.h"
#include "node/levels.h"
#include "protocol/duration.h"
#include "protocol/resp.h"
#include "storage/record_codec.h"

namespace dhrt::commands {

namespace {

// The words "[collection] key ..." of a command whose short form has `short_count` words.
struct Named {
  std::string collection;
  std::string key;
};

Result<Named> named_key(CommandCall& call, std::size_t short_count) {
  auto& words = call.words();
  const bool named = words.size() > short_count;
  Named result{named ? std::move(words[1]) : std::string(default_collection),
               std::move(words[named ? 2 : 1])};
  if (auto status = check_collection(result.collection); !status)
    return tl::unexpected(status.error());
  if (auto status = check_key(result.key); !status) return tl::unexpected(status.error());
  return result;
}

Result<Database::SetOptions> set_options(const Arguments& arguments) {
  Database::SetOptions options;
  options.blind = true;  // With a condition it is not.
  options.if_absent = arguments.has("if-absent");
  if (const auto type = arguments.value_of("type")) {
    auto attributes = content_type_attribute(*type);
    if (!attributes) return fail(attributes.error(), "--type");
    options.attributes = *std::move(attributes);
  }
  if (const auto ttl = arguments.value_of("ttl")) {
    const auto duration = parse_duration(*ttl);
    if (!duration) return fail(duration.error(), "--ttl");
    options.ttl_milliseconds = static_cast<std::uint64_t>(duration->count());
  }
  if (const auto version = arguments.value_of("if-version")) {
    options.if_version = parse_version(*version);
    if (!options.if_version)
      return fail(ErrorCode::invalid_argument,
                  "--if-version takes a version as replies show it, e.g. 7341-12");
    if (options.if_absent)
      return fail(ErrorCode::invalid_argument, "give --if-absent or --if-version, not both");
  }
  return options;
}

void read(CommandCall& call, Reply (*to_answer)(Result<Database::Found>)) {
  const auto named = named_key(call, 2);
  if (!named) return call.fail(named.error());
  const auto level = read_level_of(call.arguments());
  if (!level) return call.fail(level.error());
  const auto later = call.later();
  call.server().levels->read(*level, named->collection, named->key,
                             [later, to_answer](Result<Database::Found> found) {
                               later.reply(to_answer(std::move(found)));
                             });
}

}  // namespace

void set(CommandCall& call) {
  const auto named = named_key(call, 3);
  if (!named) return call.fail(named.error());
  const std::string& value = call.words().back();
  if (auto status = check_value(value, call.server().limits); !status)
    return call.fail(status.error());
  const auto options = set_options(call.arguments());
  if (!options) return call.fail(options.error());
  const auto level = write_level_of(call.arguments());
  if (!level) return call.fail(level.error());
  if (*level != WriteLevel::one) {
    // At linear it is not even made yet; what is asked behind it is to find it.
    const auto later = *level == WriteLevel::linear ? call.later_in_order() : call.later();
    return call.server().levels->set(*level, named->collection, named->key, value, *options,
                                     [later](const Result<Written>& written) {
                                       if (!written) return later.fail(written.error());
                                       later.reply(Reply::ok(), written->position);
                                     });
  }
  const auto written = call.database().set(named->collection, named->key, value, *options);
  if (!written) return call.fail(written.error());
  call.reply(Reply::ok(), written->position);
}

void get(CommandCall& call) {
  read(call, [](Result<Database::Found> found) {
    if (!found) return to_reply(found.error());
    return found->record ? Reply::bulk(std::move(found->record->value)) : Reply::nil();
  });
}

void has(CommandCall& call) {
  read(call, [](Result<Database::Found> found) {
    // Of a damaged value it is known that it is there.
    if (!found && found.error().code != ErrorCode::corrupt) return to_reply(found.error());
    return Reply::integer(!found || found->record ? 1 : 0);
  });
}

void del(CommandCall& call) {
  const auto named = named_key(call, 2);
  if (!named) return call.fail(named.error());
  const auto level = write_level_of(call.arguments());
  if (!level) return call.fail(level.error());
  const auto later = call.later_in_order();
  call.server().levels->remove(
      *level, named->collection, named->key, [later](const Result<Database::Removed>& removed) {
        if (!removed) return later.fail(removed.error());
        later.reply(Reply::integer(removed->existed ? 1 : 0), removed->position);
      });
}

void count(CommandCall& call) {
  const Bytes name = call.words().size() > 1 ? Bytes(call.words()[1]) : default_collection;
  if (auto status = check_collection(name); !status) return call.fail(status.error());
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  const auto later = call.later_in_order();
  count_keys(call.server(), std::string(name), [later](std::uint64_t live) {
    later.reply(Reply::integer(static_cast<std::int64_t>(live)));
  });
}

}  // namespace dhrt::commands
