#include "node/command_input.h"
#include "node/doorkeeper.h"
#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "node/redis_listeners.h"
#include "node/redis_shared.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

constexpr Bytes no_password =
    "ERR AUTH <password> called without any password configured for the default user. Are you "
    "sure your configuration is correct?";
constexpr Bytes wrong_password = "WRONGPASS invalid username-password pair or user is disabled.";

// The token is the password, and the name of its user `default` or that of the token. While none is
// configured everybody is the default user, whatever password is given. False: the call has failed.
bool authenticate(RedisCall& call, Bytes user, Bytes password) {
  Doorkeeper& doorkeeper = *call.server().doorkeeper;
  if (doorkeeper.open()) {
    if (user != "default") call.fail(wrong_password);
    return user == "default";
  }
  // That of another name is a wrong one: else who guesses could try any number of them so.
  const Grant* found = doorkeeper.find(password);
  if (found != nullptr && user != "default" && user != found->name) found = nullptr;
  const auto grant = doorkeeper.judge(found, call.session().client_host());
  if (!grant && grant.error().code == ErrorCode::busy)
    call.fail(grant.error());
  else if (!grant)
    call.fail(wrong_password);
  else
    call.session().set_grant(**grant);
  return !call.failed();
}

}  // namespace

void auth(RedisCall& call) {
  if (call.count() > 3) return call.syntax_error();
  if (call.count() == 2 && call.server().doorkeeper->open()) return call.fail(no_password);
  const Bytes user = call.count() == 2 ? Bytes("default") : call.word(1);
  if (authenticate(call, user, call.word(call.count() - 1))) call.reply().ok();
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
      if (!authenticate(call, call.word(at + 1), call.word(at + 2))) return;
      at += 2;
    } else if (is_word(call.word(at), "setname") && behind >= 1) {
      name = call.word(++at);
      if (!is_client_name(*name)) return call.fail(client_name_error(*name));
    } else {
      return call.fail("ERR Syntax error in HELLO option '" + shown(call.word(at)) + "'");
    }
  }
  if (call.session().grant().role == Role::none) {
    call.server().doorkeeper->refused(call.session(), call.command().name);
    return call.fail(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time");
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
  if (call.client().monitors)
    call.server().redis->monitors.remove(call.server().loops.own, call.session().id());
  call.session().set_listening(false);
  call.session().set_grant(call.server().doorkeeper->without_token());
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

}  // namespace dhrt::redis
