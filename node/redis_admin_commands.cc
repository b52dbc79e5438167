// What administrators and test harnesses do to a node: SAVE, SHUTDOWN, DEBUG and the like.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_delays.h"
#include "node/redis_facts.h"
#include "node/redis_observer.h"
#include "node/redis_waits.h"
#include "node/saves.h"
#include "protocol/resp_number.h"
#include "storage/base/system_clock.h"

namespace dhrt::redis {

// --- SAVE -----------------------------------------------------------------------------------

namespace {

constexpr Bytes under_way = "ERR Background save already in progress";

bool keeps_files(RedisCall& call) {
  if (!call.server().options->memory) return true;
  call.fail("ERR this node keeps everything in memory (--memory); there is no file to save to");
  return false;
}

}  // namespace

// Everything written so far goes to the files; the reply comes when it is there. Others are served
// meanwhile.
void save(RedisCall& call) {
  if (!call.may_wait() || !keeps_files(call)) return;
  CommandServer& server = call.server();
  if (server.saves->running()) return call.fail(under_way);
  const RedisLater later = call.answer_later();
  const auto answer = [later](const Status& saved) {
    later.give([&](resp::Writer& reply) {
      if (saved)
        reply.ok();
      else
        reply.error("ERR " + saved.error().message);
    });
  };
  const Status started = server.saves->start([answer, post = server.post](const Status& saved) {
    post([answer, saved] { answer(saved); });
  });
  if (!started) answer(started);
}

// BGSAVE [SCHEDULE]
void save_behind(RedisCall& call) {
  const bool schedules = call.count() == 2 && is_word(call.word(1), "schedule");
  if (call.count() > 1 && !schedules) return call.syntax_error();
  if (!keeps_files(call)) return;
  const Status started = call.server().saves->start([](const Status&) {});
  if (!started && started.error().code == ErrorCode::busy) return call.fail(under_way);
  if (!started) return call.fail(started.error());
  call.reply().simple("Background saving started");
}

// When the last checkpoint ended, whoever wanted it; when the node began if there was none.
void last_save(RedisCall& call) {
  call.reply().integer(
      static_cast<std::int64_t>(call.server().report.figures().checkpoint_unix_seconds));
}

// --- WAIT -----------------------------------------------------------------------------------

namespace {

// A number of peers, and the milliseconds to wait for them. False: the call has failed.
bool read_wait(RedisCall& call, std::size_t at, std::uint64_t& peers, std::optional<Time>& due) {
  const auto wanted = call.integer(call.word(at));
  if (!wanted) return false;
  const auto timeout = resp::parse_integer(call.word(at + 1));
  if (!timeout) call.fail("ERR timeout is not an integer or out of range");
  if (timeout && *timeout < 0) call.fail("ERR timeout is negative");
  if (call.failed()) return false;
  constexpr std::int64_t century_milliseconds = 3'155'760'000'000;
  peers = static_cast<std::uint64_t>(std::max<std::int64_t>(*wanted, 0));
  if (*timeout > 0) due = monotonic_now() + Duration(std::min(*timeout, century_milliseconds));
  return true;
}

// Whoever waits for long and closes is gone; a short wait is given its answer, so that a client may
// send all it has and close its half.
constexpr Duration short_wait{60000};

void end_if_gone(RedisCall& call, Time due) {
  if (due > monotonic_now() + short_wait) call.session().end_with_input();
}

void wait_for(RedisCall& call, std::uint64_t peers, std::optional<Time> due,
              RedisWaits::Done done) {
  end_if_gone(call, due.value_or(Time{Duration::max()}));
  call.server().waits->begin(call.session().id(), peers, call.database().last_written(), due,
                             std::move(done));
}

}  // namespace

// WAIT peers milliseconds: how many have durably what this event loop wrote so far.
void wait(RedisCall& call) {
  std::uint64_t peers = 0;
  std::optional<Time> due;
  if (!call.may_wait() || !read_wait(call, 1, peers, due)) return;
  wait_for(call, peers, due, [later = call.answer_later()](std::uint64_t have) {
    later.give([have](resp::Writer& reply) { reply.integer(static_cast<std::int64_t>(have)); });
  });
}

// WAITAOF 0|1 peers milliseconds: the same, and whether it is durable here.
void wait_for_disk(RedisCall& call) {
  std::uint64_t peers = 0;
  std::optional<Time> due;
  const auto here = call.integer(call.word(1));
  if (!here) return;
  if (*here < 0 || *here > 1)
    return call.fail("ERR value is out of range, must be between 0 and 1");
  if (!call.may_wait() || !read_wait(call, 2, peers, due)) return;
  const NodeOptions& options = *call.server().options;
  const bool is_synced = !options.memory && options.durability == Durability::sync &&
                         !call.database().config(call.collection()).memory;
  if (*here > 0 && !is_synced)
    return call.fail(
        "ERR what is written here is not synced before it is answered; see --durability, and "
        "whether the collection is kept in memory");
  // The answer leaves when what it says of this node is true.
  const Position behind = is_synced ? call.database().last_written() : 0;
  wait_for(call, peers, due, [later = call.answer_later(), is_synced, behind](std::uint64_t have) {
    later.give(
        [&](resp::Writer& reply) {
          reply.array(2);
          reply.integer(is_synced ? 1 : 0);
          reply.integer(static_cast<std::int64_t>(have));
        },
        behind);
  });
}

// --- SHUTDOWN -------------------------------------------------------------------------------

// [NOSAVE|SAVE] [NOW] [FORCE] | ABORT: leaves the cluster and stops as SIGTERM makes it do. All is
// saved in any case; NOW does not wait until the others have what was written last.
void shut_down(RedisCall& call) {
  if (!call.may_wait()) return;
  bool saves = false;
  bool saves_not = false;
  bool aborts = false;
  bool hastens = false;
  for (const Bytes word : call.words().subspan(1)) {
    if (is_word(word, "save"))
      saves = true;
    else if (is_word(word, "nosave"))
      saves_not = true;
    else if (is_word(word, "now"))
      hastens = true;
    else if (is_word(word, "abort"))
      aborts = true;
    else if (!is_word(word, "force"))
      return call.syntax_error();
  }
  if ((aborts && call.count() > 2) || (saves && saves_not)) return call.syntax_error();
  // No client is listened to any more when a shutdown has begun.
  if (aborts) return call.fail("ERR No shutdown in progress.");
  call.server().shut_down(hastens);
  call.session().close_after_replies();
}

// Databases are collections, and collections have their names on every node: while one node knows
// of an exchange and another does not yet, the same write would go to different keys.
void swap_databases(RedisCall& call) {
  call.fail(
      "ERR SWAPDB is not given by dhrt: databases are collections of the whole cluster, and nodes "
      "that hear of an exchange at different times would mix their keys; SELECT the other one");
}

// --- DEBUG ----------------------------------------------------------------------------------

namespace {

constexpr double sleep_seconds_max = 3600;

// Only this connection sleeps; what it sent behind waits with it.
void debug_sleep(RedisCall& call) {
  if (call.count() != 3) return call.wrong_arity("debug|sleep");
  if (!call.may_wait()) return;
  const double seconds = std::strtod(std::string(call.word(2)).c_str(), nullptr);
  if (!(seconds > 0)) return call.reply().ok();
  if (seconds > sleep_seconds_max)
    return call.fail("ERR a connection sleeps for at most 3600 seconds");
  // A clock of whole milliseconds may be almost one ahead.
  const Duration pause(static_cast<Duration::rep>(std::ceil(seconds * 1000)) + 1);
  CommandServer& server = call.server();
  const auto wake = [later = call.answer_later(), &server, sent = sent_of(call),
                     &command = call.command(), stopwatch = Stopwatch()] {
    note_time(
        *server.redis, command, [&] { return sent; }, stopwatch.nanoseconds());
    later.give([](resp::Writer& reply) { reply.ok(); });
  };
  end_if_gone(call, monotonic_now() + pause);
  server.delays->add(call.session().id(), {.due = monotonic_now() + pause, .then = wake});
}

void debug_object(RedisCall& call) {
  if (call.count() != 3) return call.wrong_arity("debug|object");
  bool is_there = false;
  const bool known = call.read(call.word(2), [&](const RecordView* held) {
    if (held == nullptr) return;
    is_there = true;
    call.reply().simple("Value at:0x0 refcount:1 encoding:" + encoding_of(held->value) +
                        " serializedlength:" + std::to_string(held->value.size()) +
                        " lru:0 lru_seconds_idle:0");
  });
  if (known && !is_there) call.fail("ERR no such key");
}

}  // namespace

// DEBUG SLEEP seconds | OBJECT key | JMAP
void debug(RedisCall& call) {
  const Bytes what = call.word(1);
  if (is_word(what, "sleep")) return debug_sleep(call);
  if (is_word(what, "object")) return debug_object(call);
  // Harnesses that test other servers as well ask for a map of a heap, which there is none of here.
  if (is_word(what, "jmap")) return call.reply().ok();
  if (is_word(what, "help")) return help(call, {"SLEEP seconds", "OBJECT key", "JMAP"});
  call.fail("ERR unknown subcommand or wrong number of arguments for '" + shown(what) +
            "'. Try DEBUG HELP.");
}

}  // namespace dhrt::redis
