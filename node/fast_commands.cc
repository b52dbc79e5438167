#include "node/fast_commands.h"

#include "node/command_input.h"
#include "node/commands.h"
#include "protocol/resp.h"

namespace dhrt {

namespace {

// Records that are on their way at once: enough to hide how long memory takes, and no more than
// a processor asks for at a time.
constexpr std::size_t records_ahead = 6;

}  // namespace

const Database::Place* FastExecutor::place_of(Bytes collection) {
  if (place_.collection != nullptr && place_name_ == collection) return &place_;
  if (!collection.empty() && !check_collection(collection)) return nullptr;
  place_name_ = collection;
  const Bytes name = collection.empty() ? default_collection : collection;
  place_ = database_.place(name);
  may_read_ = session_.grant().may(Role::read, name);
  may_write_ = session_.grant().may(Role::write, name);
  return &place_;
}

ClientProtocol::Took FastExecutor::run(FastBatch& batch, Bytes input,
                                       FunctionRef<void(Bytes)> take_one) {
  announce(batch);
  ClientProtocol::Took took{.requests = 0};
  bool goes_on = true;
  while (goes_on && took.requests < batch.size()) {
    const FastCommand& command = batch[took.requests];
    if (execute(command)) {
      goes_on = session_.has_room();
    } else {
      take_one(input.substr(took.bytes, command.end - took.bytes));
      goes_on = session_.takes_more();
    }
    took.bytes = command.end;
    ++took.requests;
  }
  return took;
}

void FastExecutor::announce(FastBatch& batch) {
  for (FastCommand& command : batch) {
    const HashedKey key(command.key);
    command.hash = key.hash;
    if (batch.size() == 1) return;  // It is about to be looked up anyway.
    const Database::Place* place = place_of(command.collection);
    if (place != nullptr && place->collection != nullptr) place->collection->prefetch(key);
  }
  ahead_ = batch.begin();
  end_ = batch.end();
  for (std::size_t i = 0; i < records_ahead; ++i)
    fetch_ahead();
}

void FastExecutor::fetch_ahead() {
  if (ahead_ == end_) return;
  const FastCommand& command = *ahead_++;
  if (place_.collection == nullptr || command.collection != place_name_) return;
  place_.collection->prefetch_record(HashedKey(command.key, command.hash));
}

bool FastExecutor::execute(const FastCommand& command) {
  fetch_ahead();
  if (command.key.empty() || command.key.size() > key_bytes_max) return false;
  const Database::Place* place = place_of(command.collection);
  if (place == nullptr) return false;
  const bool gets = command.kind == FastCommand::Kind::get;
  const bool may = gets ? may_read_ : may_write_;
  const bool done = may && (gets ? get(command, *place) : set(command, *place));
  // The general path may make or drop collections.
  if (!done) place_ = {};
  figures_.commands_total += done ? 1 : 0;
  (command.kind == FastCommand::Kind::get ? gets_ : sets_) += done ? 1 : 0;
  return done;
}

bool FastExecutor::get(const FastCommand& command, const Database::Place& place) {
  return database_.read_at_once(place, HashedKey(command.key, command.hash),
                                [&](const RecordView* record) {
                                  std::string& out = session_.open_reply(0);
                                  if (record == nullptr)
                                    out += null_;
                                  else
                                    resp::append_bulk(out, record->value);
                                });
}

bool FastExecutor::set(const FastCommand& command, const Database::Place& place) {
  if (place.collection == nullptr || command.value.size() > limits_.value_bytes_max) return false;
  const auto written = database_.set_at_once(place, HashedKey(command.key, command.hash),
                                             command.value, {}, Database::Tells::nothing);
  if (!written) {
    ++figures_.errors_total;
    resp::append_reply(session_.open_reply(0), to_reply(written.error()));
  } else {
    resp::append_ok(session_.open_reply(written->position));
  }
  return true;
}

}  // namespace dhrt
