#include "node/redis_facts.h"

#include <algorithm>

#include "protocol/letter_case.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

std::int64_t client_number(RedisCall& call) {
  return static_cast<std::int64_t>(call.session().id());
}

bool is_client_name(Bytes name) {
  return name.size() <= client_name_bytes_max &&
         std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

Bytes client_name_error(Bytes name) {
  static_assert(client_name_bytes_max == 1024);  // As the text says.
  if (name.size() > client_name_bytes_max)
    return "ERR what a client tells of itself has at most 1024 bytes";
  return "ERR Client names cannot contain spaces, newlines or special characters.";
}

void other_subcommand(RedisCall& call, std::initializer_list<Bytes> subcommands) {
  if (is_word(call.word(1), "help")) return help(call, subcommands);
  call.fail("ERR unknown subcommand '" + shown(call.word(1)) + "'. Try " +
            to_upper(call.command().name) + " HELP.");
}

void help(RedisCall& call, std::initializer_list<Bytes> subcommands) {
  const std::string name = to_upper(call.command().name);
  call.reply().array(subcommands.size() + 1);
  call.reply().simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const Bytes subcommand : subcommands)
    call.reply().simple(subcommand);
}

std::string encoding_of(Bytes value) {
  // Redis keeps a value up to this length in one piece with its head.
  constexpr std::size_t embedded_bytes_max = 44;
  if (resp::parse_integer(value)) return "int";
  return value.size() <= embedded_bytes_max ? "embstr" : "raw";
}

}  // namespace dhrt::redis
