#include <charconv>
#include <memory>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

// What a record takes beside its key and value, about: head, slot, rounding.
constexpr std::size_t record_overhead_bytes = 64;

// Deletes that are under way; the last one answers.
struct Deletes {
  resp::Version version;
  bool silent = false;
  std::size_t open = 0;
  std::int64_t removed = 0;
  Position position = 0;
  std::optional<Error> error;
  std::optional<ReplyTicket> ticket;

  void done(const Result<Database::Removed>& result) {
    --open;
    if (!result) {
      error = result.error();
      return;
    }
    removed += result->existed ? 1 : 0;
    position = std::max(position, result->position);
  }
  void answer_later(NodeFigures& figures) const {
    std::string out;
    resp::Writer writer(out, version);
    if (error) {
      ++figures.of(ClientDialect::resp).errors_total;
      writer.error(std::get<ReplyError>(to_reply(*error).value).message);
    } else {
      writer.integer(removed);
    }
    ticket->give(silent ? std::string() : std::move(out), position);
  }
};

// Within a transaction: what is held here.
void delete_held(RedisCall& call) {
  std::int64_t removed = 0;
  for (const Bytes key : call.words().subspan(1)) {
    bool existed = false;
    const bool done = call.change(key, [&](const RecordView* held, Change& change) {
      existed = held != nullptr;
      change.deletes = true;
      return existed;
    });
    if (!done) return;
    removed += existed ? 1 : 0;
  }
  call.reply().integer(removed);
}

}  // namespace

// DEL, UNLINK: what is not known here is asked of the others, and deleted there, too.
void del(RedisCall& call) {
  if (call.is_nested()) return delete_held(call);
  const auto deletes = std::make_shared<Deletes>();
  deletes->version = call.client().version;
  deletes->open = call.count() - 1;
  NodeFigures& figures = call.server().figures;
  for (const Bytes key : call.words().subspan(1)) {
    call.database().remove(call.collection(), key,
                           [deletes, &figures](const Result<Database::Removed>& removed) {
                             deletes->done(removed);
                             if (deletes->open == 0 && deletes->ticket)
                               deletes->answer_later(figures);
                           });
  }
  if (deletes->open > 0) {
    deletes->ticket = call.later();
    deletes->silent = call.is_silent();
  } else if (deletes->error) {
    call.fail(*deletes->error);
  } else {
    call.reply().integer(deletes->removed);
  }
  call.promises(deletes->position);
}

// EXISTS, TOUCH: a key that is named twice counts twice.
void exists(RedisCall& call) {
  std::int64_t count = 0;
  for (const Bytes key : call.words().subspan(1))
    call.read(key, [&](const RecordView* held) { count += held != nullptr ? 1 : 0; });
  if (!call.failed()) call.reply().integer(count);
}

void type(RedisCall& call) {
  call.read(call.word(1), [&](const RecordView* held) {
    call.reply().simple(held == nullptr ? "none" : "string");
  });
}

// --- RENAME and COPY ------------------------------------------------------------------------

namespace {

// False: the call has failed. Absent: there is no such key.
bool read_source(RedisCall& call, std::optional<Record>& source) {
  source.reset();
  return call.read(call.word(1), [&](const RecordView* held) {
    if (held != nullptr) source = copy_of(*held);
  });
}

// False: the call has failed. `written` is false if the key is there and may not be replaced.
bool write_copy(RedisCall& call, Bytes collection, Bytes key, const Record& source, bool replaces,
                bool& written) {
  return call.change(collection, key, [&](const RecordView* held, Change& change) {
    written = held == nullptr || replaces;
    change = {source.value, source.attributes, source.deadline, false};
    return written;
  });
}

// False: the call has failed. `same` is false if the key was written to since it was read.
bool delete_if_same(RedisCall& call, Bytes key, const Version& version, bool& same) {
  return call.change(key, [&](const RecordView* held, Change& change) {
    same = held == nullptr || held->version == version;
    change.deletes = true;
    return held != nullptr && same;
  });
}

// The key of another name is written first, so that a crash in between keeps the value. If the
// source was changed meanwhile by another event loop, what it is now is taken.
void rename_to(RedisCall& call, bool replaces) {
  const Bytes from = call.word(1);
  const Bytes to = call.word(2);
  const bool answers_number = !replaces;
  for (;;) {
    std::optional<Record> source;
    if (!read_source(call, source)) return;
    if (!source) return call.fail("ERR no such key");
    bool written = true;
    if (from != to && !write_copy(call, call.collection(), to, *source, replaces, written)) return;
    if (from == to && answers_number) written = false;
    if (from == to || !written) {
      if (answers_number)
        call.reply().integer(written ? 1 : 0);
      else
        call.reply().ok();
      return;
    }
    bool same = false;
    if (!delete_if_same(call, from, source->version, same)) return;
    replaces = true;
    if (!same) continue;
    if (answers_number)
      call.reply().integer(1);
    else
      call.reply().ok();
    return;
  }
}

}  // namespace

void rename(RedisCall& call) {
  rename_to(call, true);
}

void rename_absent(RedisCall& call) {
  rename_to(call, false);
}

// COPY source target [DB number] [REPLACE]
void copy(RedisCall& call) {
  std::string collection(call.collection());
  bool replaces = false;
  for (std::size_t at = 3; at < call.count(); ++at) {
    if (is_word(call.word(at), "replace")) {
      replaces = true;
    } else if (is_word(call.word(at), "db") && at + 1 < call.count()) {
      const auto number = call.integer(call.word(++at));
      if (!number) return;
      if (*number < 0 || *number >= redis_databases)
        return call.fail("ERR DB index is out of range");
      collection = redis_collection(*number);
    } else {
      return call.syntax_error();
    }
  }
  if (!call.may(Role::write, collection)) return;
  if (call.word(1) == call.word(2) && collection == call.collection())
    return call.fail("ERR source and destination objects are the same");
  std::optional<Record> source;
  if (!read_source(call, source)) return;
  bool written = false;
  if (source && !write_copy(call, collection, call.word(2), *source, replaces, written)) return;
  call.reply().integer(written ? 1 : 0);
}

// MOVE key number: the other database has it first, so that a crash in between keeps the value.
void move(RedisCall& call) {
  const auto number = call.integer(call.word(2));
  if (!number) return;
  if (*number < 0 || *number >= redis_databases) return call.fail("ERR DB index is out of range");
  const std::string collection = redis_collection(*number);
  if (!call.may(Role::write, collection)) return;
  if (collection == call.collection())
    return call.fail("ERR source and destination objects are the same");
  for (bool replaces = false;; replaces = true) {
    std::optional<Record> source;
    if (!read_source(call, source)) return;
    bool written = false;
    if (source && !write_copy(call, collection, call.word(1), *source, replaces, written)) return;
    if (!written) return call.reply().integer(0);
    bool same = false;
    if (!delete_if_same(call, call.word(1), source->version, same)) return;
    if (same) return call.reply().integer(1);
  }
}

// --- OBJECT, MEMORY -------------------------------------------------------------------------

namespace {

// What Redis clients may ask of a value; null if the key is not there.
void describe(RedisCall& call, Bytes what) {
  call.read(call.word(2), [&](const RecordView* held) {
    if (held == nullptr) return call.reply().null();
    if (what == "encoding") return call.reply().bulk(encoding_of(held->value));
    call.reply().integer(what == "refcount" ? 1 : 0);
  });
}

}  // namespace

// OBJECT ENCODING|REFCOUNT|IDLETIME|FREQ key
void object(RedisCall& call) {
  const std::string what = to_lower(call.word(1));
  const bool known =
      what == "encoding" || what == "refcount" || what == "idletime" || what == "freq";
  if (!known)
    return other_subcommand(call, {"ENCODING key", "FREQ key", "IDLETIME key", "REFCOUNT key"});
  if (call.count() != 3) return call.wrong_arity("object|" + what);
  if (what == "freq")
    return call.fail("ERR An LFU maxmemory policy is not selected, access frequency not tracked.");
  describe(call, what);
}

// MEMORY USAGE key [SAMPLES n]
void memory(RedisCall& call) {
  if (!is_word(call.word(1), "usage")) return other_subcommand(call, {"USAGE key [SAMPLES count]"});
  if (call.count() != 3 && call.count() != 5) return call.wrong_arity("memory|usage");
  if (call.count() == 5) {
    if (!is_word(call.word(3), "samples")) return call.syntax_error();
    const auto samples = call.integer(call.word(4));
    if (!samples) return;
    if (*samples < 0) return call.syntax_error();
  }
  const Bytes key = call.word(2);
  call.read(key, [&](const RecordView* held) {
    if (held == nullptr) return call.reply().null();
    call.reply().integer(
        static_cast<std::int64_t>(key.size() + held->value.size() + record_overhead_bytes));
  });
}

}  // namespace dhrt::redis
