// CLIENT: about this connection, and about all of the node.
#include <algorithm>
#include <array>
#include <numeric>

#include "node/redis_call.h"
#include "node/redis_client_list.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

void client_info(RedisCall& call) {
  call.reply().verbatim(client_line(call.session(), call.server().loops.own) + "\n");
}

void client_name(RedisCall& call) {
  const std::string& name = call.client().name;
  if (name.empty())
    call.reply().null();
  else
    call.reply().bulk(name);
}

void client_set_name(RedisCall& call) {
  if (!is_client_name(call.word(2))) return call.fail(client_name_error(call.word(2)));
  call.client().name = call.word(2);
  call.reply().ok();
}

void client_set_info(RedisCall& call) {
  const Bytes what = call.word(2);
  const Bytes value = call.word(3);
  const bool name = is_word(what, "lib-name");
  if (!name && !is_word(what, "lib-ver"))
    return call.fail("ERR Unrecognized option '" + shown(what) + "'");
  if (value.size() > client_name_bytes_max) return call.fail(client_name_error(value));
  if (!is_client_name(value))
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

// --- LIST -----------------------------------------------------------------------------------

bool read_type(RedisCall& call, Bytes word, ClientFilter& filter) {
  filter.type = client_type(word);
  if (!filter.type) call.fail("ERR Unknown client type '" + shown(word) + "'");
  return filter.type.has_value();
}

// [TYPE normal|master|replica|pubsub | ID id ...]. False: the call has failed.
bool read_list_filter(RedisCall& call, ClientFilter& filter) {
  if (call.count() == 2) return true;
  if (call.count() == 4 && is_word(call.word(2), "type"))
    return read_type(call, call.word(3), filter);
  if (call.count() < 4 || !is_word(call.word(2), "id")) {
    call.syntax_error();
    return false;
  }
  for (const Bytes word : call.words().subspan(3)) {
    const auto id = resp::parse_integer(word);
    if (!id) {
      call.fail("ERR Invalid client ID");
      return false;
    }
    filter.ids.push_back(static_cast<SessionId>(*id));
  }
  return true;
}

// One loop after the other, each by age.
void client_list(RedisCall& call) {
  ClientFilter filter;
  if (!call.may_wait() || !read_list_filter(call, filter)) return;
  std::ranges::sort(filter.ids);
  const RedisLater later = call.answer_later();
  call.server().loops.ask_all<std::string>(
      [filter](ClientRoll& roll) {
        std::string lines;
        roll.visit_clients([&](Session& session) {
          if (is_meant(filter, session)) lines += client_line(session, roll.loop_number()) + "\n";
        });
        return lines;
      },
      [later](const std::vector<std::string>& by_loop) {
        std::string lines;
        for (const std::string& of_loop : by_loop)
          lines += of_loop;
        later.give([&](resp::Writer& reply) { reply.verbatim(lines); });
      });
}

// --- KILL -----------------------------------------------------------------------------------

bool read_user(RedisCall& call, Bytes word) {
  // Everybody is the default user.
  if (word != "default") call.fail("ERR No such user '" + shown(word) + "'");
  return !call.failed();
}

bool read_skip(RedisCall& call, Bytes word, bool& skips_asker) {
  skips_asker = is_word(word, "yes");
  if (!skips_asker && !is_word(word, "no")) call.syntax_error();
  return !call.failed();
}

bool read_kill_option(RedisCall& call, Bytes name, Bytes value, ClientFilter& filter,
                      bool& skips_asker) {
  if (is_word(name, "id")) {
    const auto id = resp::parse_integer(value);
    if (!id || *id <= 0) call.fail("ERR client-id should be greater than 0");
    if (!call.failed()) filter.ids.push_back(static_cast<SessionId>(*id));
    return !call.failed();
  }
  if (is_word(name, "maxage")) {
    filter.seconds_min = resp::parse_integer(value);
    if (!filter.seconds_min || *filter.seconds_min < 0)
      call.fail("ERR maxage is not an integer or out of range");
    return !call.failed();
  }
  if (is_word(name, "type")) return read_type(call, value, filter);
  if (is_word(name, "user")) return read_user(call, value);
  if (is_word(name, "skipme")) return read_skip(call, value, skips_asker);
  if (is_word(name, "addr"))
    filter.address = value;
  else if (is_word(name, "laddr"))
    filter.local_address = value;
  else
    call.syntax_error();
  return !call.failed();
}

// How many of a loop's clients were meant. The asker has its reply before it is cut off.
std::uint64_t cut_off(ClientRoll& roll, const ClientFilter& filter, SessionId asker) {
  std::uint64_t count = 0;
  roll.visit_clients([&](Session& session) {
    if (!is_meant(filter, session)) return;
    ++count;
    if (session.id() == asker)
      session.close_after_replies();
    else
      session.cut_off();
  });
  return count;
}

// The old form names an address and wants it to be there; the new one gives how many there were.
void kill(RedisCall& call, const ClientFilter& filter, bool is_old_form) {
  const RedisLater later = call.answer_later();
  call.server().loops.ask_all<std::uint64_t>(
      [filter, asker = call.session().id()](ClientRoll& roll) {
        return cut_off(roll, filter, asker);
      },
      [later, is_old_form](const std::vector<std::uint64_t>& by_loop) {
        const auto count = std::accumulate(by_loop.begin(), by_loop.end(), std::uint64_t{0});
        later.give([&](resp::Writer& reply) {
          if (!is_old_form)
            reply.integer(static_cast<std::int64_t>(count));
          else if (count > 0)
            reply.ok();
          else
            reply.error("ERR No such client");
        });
      });
}

// CLIENT KILL address | ([ID id] [ADDR address] [LADDR address] [TYPE type] [USER name]
// [SKIPME yes|no] [MAXAGE seconds] ...): those to whom all of it applies.
void client_kill(RedisCall& call) {
  if (!call.may_wait()) return;
  if (call.count() < 3) return call.wrong_arity("client|kill");
  ClientFilter filter;
  if (call.count() == 3) {
    filter.address = call.word(2);
    return kill(call, filter, true);
  }
  if (call.count() % 2 != 0) return call.syntax_error();
  bool skips_asker = true;
  for (std::size_t at = 2; at < call.count(); at += 2) {
    if (!read_kill_option(call, call.word(at), call.word(at + 1), filter, skips_asker)) return;
  }
  if (skips_asker) filter.except = call.session().id();
  kill(call, filter, false);
}

// --- The subcommands ------------------------------------------------------------------------

struct Subcommand {
  Bytes name;
  std::size_t words;  // With "CLIENT" and the name; 0: any number.
  void (*run)(RedisCall&);
};
constexpr std::array client_subcommands{
    Subcommand{"getname", 2, client_name},
    Subcommand{"id", 2, client_id},
    Subcommand{"info", 2, client_info},
    Subcommand{"kill", 0, client_kill},
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
  if (found == client_subcommands.end())
    return other_subcommand(
        call, {"GETNAME", "ID", "INFO",
               "KILL address | [ID id] [TYPE type] [ADDR address] [LADDR address] [USER user] "
               "[SKIPME yes|no]",
               "LIST [TYPE type] [ID id ...]", "NO-EVICT ON|OFF", "NO-TOUCH ON|OFF",
               "REPLY ON|OFF|SKIP", "SETINFO LIB-NAME|LIB-VER value", "SETNAME name"});
  if (found->words != 0 && found->words != call.count())
    return call.wrong_arity("client|" + std::string(found->name));
  found->run(call);
}

}  // namespace dhrt::redis
