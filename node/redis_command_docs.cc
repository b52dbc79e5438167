// COMMAND: what the table says, in the form that Redis has for it.
#include <algorithm>
#include <array>
#include <vector>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "protocol/glob.h"

namespace dhrt::redis {

namespace {

std::vector<Bytes> words_of(Bytes text) {
  std::vector<Bytes> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::vector<std::string> categories_of(const RedisCommand& info) {
  std::vector<std::string> categories;
  if (has_flag(info, "write")) categories.emplace_back("@write");
  if (has_flag(info, "readonly")) categories.emplace_back("@read");
  const Bytes group = info.group == "generic" ? Bytes("keyspace") : info.group;
  if (group != "server" && group != "scripting") categories.push_back("@" + std::string(group));
  categories.emplace_back(has_flag(info, "fast") ? "@fast" : "@slow");
  return categories;
}

// Name, arity, flags, first key, last key, step, categories; no tips, key specifications or
// subcommands.
void write_info(resp::Writer& reply, const RedisCommand* info) {
  if (info == nullptr) return reply.null();
  reply.array(10);
  reply.bulk(info->name);
  reply.integer(info->arity);
  const auto flags = words_of(info->flags);
  reply.set(flags.size());
  for (const Bytes flag : flags)
    reply.simple(flag);
  reply.integer(info->first_key);
  reply.integer(info->last_key);
  reply.integer(info->key_step);
  const auto categories = categories_of(*info);
  reply.set(categories.size());
  for (const std::string& category : categories)
    reply.simple(category);
  for (int i = 0; i < 3; ++i)
    reply.array(0);
}

void write_docs(resp::Writer& reply, const RedisCommand& info) {
  reply.bulk(info.name);
  reply.map(3);
  reply.bulk("summary");
  reply.bulk(info.summary);
  reply.bulk("since");
  reply.bulk(info.since);
  reply.bulk("group");
  reply.bulk(info.group);
}

void command_info(RedisCall& call) {
  if (call.count() == 2) {
    call.reply().array(redis_commands().size());
    for (const RedisCommand& info : redis_commands())
      write_info(call.reply(), &info);
    return;
  }
  call.reply().array(call.count() - 2);
  for (const Bytes name : call.words().subspan(2)) {
    if (!call.has_room()) return;
    write_info(call.reply(), find_redis_command(name));
  }
}

void command_docs(RedisCall& call) {
  std::vector<const RedisCommand*> wanted;
  if (call.count() == 2) {
    for (const RedisCommand& info : redis_commands())
      wanted.push_back(&info);
  }
  for (const Bytes name : call.words().subspan(2)) {
    if (const RedisCommand* info = find_redis_command(name)) wanted.push_back(info);
  }
  call.reply().map(wanted.size());
  for (const RedisCommand* info : wanted) {
    if (!call.has_room()) return;
    write_docs(call.reply(), *info);
  }
}

// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
void command_list(RedisCall& call) {
  const bool filters = call.count() == 5 && is_word(call.word(2), "filterby");
  if (call.count() != 2 && !filters) return call.syntax_error();
  const std::string by = filters ? to_lower(call.word(3)) : "";
  if (filters && by != "module" && by != "aclcat" && by != "pattern") return call.syntax_error();
  std::vector<Bytes> names;
  for (const RedisCommand& info : redis_commands()) {
    const auto categories = categories_of(info);
    const bool wanted =
        by.empty() || (by == "pattern" && glob_matches(to_lower(call.word(4)), info.name)) ||
        (by == "aclcat" && std::ranges::count(categories, "@" + to_lower(call.word(4))) > 0);
    if (wanted) names.push_back(info.name);
  }
  call.reply().array(names.size());
  for (const Bytes name : names)
    call.reply().bulk(name);
}

// What a command does with a key, in the words that Redis has for it.
struct KeyUse {
  Bytes command;
  Bytes first;
  Bytes others = first;
};
constexpr std::array key_uses{
    KeyUse{"append", "RW insert"},
    KeyUse{"bitop", "OW update", "RO access"},
    KeyUse{"copy", "RO access", "OW update"},
    KeyUse{"del", "RM delete"},
    KeyUse{"exists", "RO"},
    KeyUse{"expire", "RW update"},
    KeyUse{"expireat", "RW update"},
    KeyUse{"getdel", "RW access delete"},
    KeyUse{"mset", "OW update"},
    KeyUse{"msetnx", "OW insert"},
    KeyUse{"persist", "RW update"},
    KeyUse{"pexpire", "RW update"},
    KeyUse{"pexpireat", "RW update"},
    KeyUse{"psetex", "OW update"},
    KeyUse{"rename", "RW access delete", "OW update"},
    KeyUse{"renamenx", "RW access delete", "OW insert"},
    KeyUse{"restore", "OW update"},
    KeyUse{"set", "OW update"},
    KeyUse{"setex", "OW update"},
    KeyUse{"setnx", "OW insert"},
    KeyUse{"setrange", "RW update"},
    KeyUse{"strlen", "RO"},
    KeyUse{"touch", "RO"},
    KeyUse{"ttl", "RO"},
    KeyUse{"type", "RO"},
    KeyUse{"unlink", "RM delete"},
    KeyUse{"watch", "RO"},
};

bool has_word(std::span<const Bytes> words, Bytes lower) {
  return std::ranges::any_of(words, [&](Bytes word) { return is_word(word, lower); });
}

Bytes use_of(const RedisCommand& info, std::span<const Bytes> words, bool is_first) {
  constexpr Bytes reads = "RO access";
  constexpr Bytes changes = "RW access update";
  if (info.name == "set" && has_word(words.subspan(3), "get")) return changes;
  if (info.name == "bitfield" && !has_word(words, "set") && !has_word(words, "incrby"))
    return reads;
  const auto found = std::ranges::find(key_uses, Bytes(info.name), &KeyUse::command);
  if (found != key_uses.end()) return is_first ? found->first : found->others;
  return has_flag(info, "readonly") ? reads : changes;
}

// COMMAND GETKEYS | GETKEYSANDFLAGS command [argument ...]
void command_keys(RedisCall& call, bool with_flags) {
  if (call.count() < 4) return call.wrong_arity("command|" + to_lower(call.word(1)));
  const auto words = call.words().subspan(2);
  const RedisCommand* info = find_redis_command(words[0]);
  if (info == nullptr) return call.fail("ERR Invalid command specified");
  if (!arity_is_right(*info, words.size()))
    return call.fail("ERR Invalid number of arguments specified for command");
  std::vector<Bytes> keys;
  visit_keys(*info, words, [&](Bytes key) { keys.push_back(key); });
  if (keys.empty()) return call.fail("ERR The command has no key arguments");
  call.reply().array(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (with_flags) call.reply().array(2);
    call.reply().bulk(keys[i]);
    if (!call.has_room()) return;
    if (!with_flags) continue;
    const auto flags = words_of(use_of(*info, words, i == 0));
    call.reply().set(flags.size());
    for (const Bytes flag : flags)
      call.reply().simple(flag);
  }
}

}  // namespace

void command(RedisCall& call) {
  if (call.count() == 1) {
    call.reply().array(redis_commands().size());
    for (const RedisCommand& info : redis_commands())
      write_info(call.reply(), &info);
    return;
  }
  const Bytes what = call.word(1);
  if (is_word(what, "count")) {
    if (call.count() != 2) return call.wrong_arity("command|count");
    return call.reply().integer(static_cast<std::int64_t>(redis_commands().size()));
  }
  if (is_word(what, "info")) return command_info(call);
  if (is_word(what, "docs")) return command_docs(call);
  if (is_word(what, "list")) return command_list(call);
  if (is_word(what, "getkeys")) return command_keys(call, false);
  if (is_word(what, "getkeysandflags")) return command_keys(call, true);
  other_subcommand(call, {"COUNT", "DOCS [command ...]", "GETKEYS command [argument ...]",
                          "GETKEYSANDFLAGS command [argument ...]", "INFO [command ...]",
                          "LIST [FILTERBY MODULE|ACLCAT|PATTERN what]"});
}

}  // namespace dhrt::redis
