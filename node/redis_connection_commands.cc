#include <algorithm>
#include <array>

#include "node/command_input.h"
#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "node/redis_listeners.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

constexpr Bytes no_password =
    "ERR AUTH <password> called without any password configured for the default user. Are you "
    "sure your configuration is correct?";
constexpr Bytes wrong_password = "WRONGPASS invalid username-password pair or user is disabled.";
constexpr Bytes bad_name =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// No token can be configured yet: everybody is the default user, whatever password is given.
bool authenticate(RedisCall& call, Bytes user) {
  if (user == "default") return true;
  call.fail(wrong_password);
  return false;
}

bool is_name(Bytes name) {
  return std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace

void auth(RedisCall& call) {
  if (call.count() > 3) return call.syntax_error();
  if (call.count() == 2) return call.fail(no_password);
  if (authenticate(call, call.word(1))) call.reply().ok();
}

void echo(RedisCall& call) {
  call.reply().bulk(call.word(1));
}

// HELLO [version [AUTH user password] [SETNAME name]]
void hello(RedisCall& call) {
  resp::Version version = call.client().version;
  if (call.count() > 1) {
    const auto number = resp::parse_integer(call.word(1));
    if (!number) return call.fail("ERR Protocol version is not an integer or out of range");
    if (*number != 2 && *number != 3) return call.fail("NOPROTO unsupported protocol version");
    version = *number == 3 ? resp::Version::resp3 : resp::Version::resp2;
  }
  std::optional<Bytes> name;
  for (std::size_t at = 2; at < call.count(); ++at) {
    const std::size_t behind = call.count() - 1 - at;
    if (is_word(call.word(at), "auth") && behind >= 2) {
      if (!authenticate(call, call.word(at + 1))) return;
      at += 2;
    } else if (is_word(call.word(at), "setname") && behind >= 1) {
      name = call.word(++at);
      if (!is_name(*name)) return call.fail(bad_name);
    } else {
      return call.fail("ERR Syntax error in HELLO option '" + shown(call.word(at)) + "'");
    }
  }
  if (name) call.client().name = *name;
  call.client().version = version;
  resp::Writer reply = call.reply_in(version);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(redis_version);
  reply.bulk("proto");
  reply.integer(version == resp::Version::resp3 ? 3 : 2);
  reply.bulk("id");
  reply.integer(client_number(call));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

void ping(RedisCall& call) {
  if (call.count() > 2) return call.wrong_arity("ping");
  if (call.client().only_listens()) {
    call.reply().array(2);
    call.reply().bulk("pong");
    return call.reply().bulk(call.count() == 1 ? Bytes() : call.word(1));
  }
  if (call.count() == 1)
    call.reply().simple("PONG");
  else
    call.reply().bulk(call.word(1));
}

void quit(RedisCall& call) {
  call.reply().ok();
  call.session().close_after_replies();
}

void reset(RedisCall& call) {
  call.server().listeners->leave(call.session(), call.client());
  call.client() = {};
  call.client().last_command = call.command().name;
  call.reply_in(resp::Version::resp2).simple("RESET");
}

// A number, as Redis has it, or any collection by its name.
void select(RedisCall& call) {
  const Bytes wanted = call.word(1);
  if (const auto number = resp::parse_integer(wanted)) {
    if (*number < 0 || *number >= redis_databases) return call.fail("ERR DB index is out of range");
    call.client().database = *number;
    call.client().collection = redis_collection(*number);
  } else {
    if (auto status = check_collection(wanted); !status) return call.fail(status.error());
    call.client().database = wanted == default_collection ? 0 : -1;
    call.client().collection = wanted;
  }
  call.reply().ok();
}

// --- CLIENT ---------------------------------------------------------------------------------

namespace {

void client_info(RedisCall& call) {
  call.reply().verbatim(client_line(call) + "\n");
}

void client_name(RedisCall& call) {
  const std::string& name = call.client().name;
  if (name.empty())
    call.reply().null();
  else
    call.reply().bulk(name);
}

void client_set_name(RedisCall& call) {
  if (!is_name(call.word(2))) return call.fail(bad_name);
  call.client().name = call.word(2);
  call.reply().ok();
}

void client_set_info(RedisCall& call) {
  const Bytes what = call.word(2);
  const Bytes value = call.word(3);
  const bool name = is_word(what, "lib-name");
  if (!name && !is_word(what, "lib-ver"))
    return call.fail("ERR Unrecognized option '" + shown(what) + "'");
  if (!is_name(value))
    return call.fail("ERR " + to_lower(what) +
                     " cannot contain spaces, newlines or special characters.");
  (name ? call.client().library_name : call.client().library_version) = value;
  call.reply().ok();
}

// NO-EVICT and NO-TOUCH: no client is ever evicted, and what is read is not ranked by client.
void client_switch(RedisCall& call) {
  if (!is_word(call.word(2), "on") && !is_word(call.word(2), "off")) return call.syntax_error();
  call.reply().ok();
}

void client_reply(RedisCall& call) {
  using Replies = RedisClient::Replies;
  RedisClient& client = call.client();
  if (is_word(call.word(2), "on")) {
    client.replies = Replies::on;
    return call.reply().ok();
  }
  if (is_word(call.word(2), "off")) {
    client.replies = Replies::off;
  } else if (is_word(call.word(2), "skip")) {
    if (client.replies != Replies::off) client.replies = Replies::skip_next;
  } else {
    call.syntax_error();
  }
}

void client_id(RedisCall& call) {
  call.reply().integer(client_number(call));
}

// Nodes tell clients nothing of planned work: there is nothing to switch.
void client_maintenance(RedisCall& call) {
  call.reply().ok();
}

void client_list(RedisCall& call) {
  call.fail(
      "ERR CLIENT LIST and CLIENT KILL are not given by this version; `CLIENT INFO` shows "
      "this connection, `INFO clients` how many there are");
}

struct Subcommand {
  Bytes name;
  std::size_t words;  // With "CLIENT" and the name; 0: any number.
  void (*run)(RedisCall&);
};
constexpr std::array client_subcommands{
    Subcommand{"getname", 2, client_name},
    Subcommand{"id", 2, client_id},
    Subcommand{"info", 2, client_info},
    Subcommand{"kill", 0, client_list},
    Subcommand{"list", 0, client_list},
    Subcommand{"maint_notifications", 0, client_maintenance},
    Subcommand{"no-evict", 3, client_switch},
    Subcommand{"no-touch", 3, client_switch},
    Subcommand{"reply", 3, client_reply},
    Subcommand{"setinfo", 4, client_set_info},
    Subcommand{"setname", 3, client_set_name},
};

}  // namespace

void client(RedisCall& call) {
  const auto found = std::ranges::find_if(client_subcommands, [&](const Subcommand& subcommand) {
    return is_word(call.word(1), subcommand.name);
  });
  if (found == client_subcommands.end()) return unknown_subcommand(call, "CLIENT");
  if (found->words != 0 && found->words != call.count())
    return call.wrong_arity("client|" + std::string(found->name));
  found->run(call);
}

}  // namespace dhrt::redis
