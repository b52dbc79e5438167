#include "node/levels.h"

#include <algorithm>
#include <string>
#include <utility>

#include "node/store_driver.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

Status refuse_condition(const Database::SetOptions& options) {
  if (!options.if_absent && !options.if_version) return {};
  return fail(ErrorCode::invalid_argument,
              "a condition at level linear is not given by this version; at quorum it is decided "
              "on one node");
}

}  // namespace

Status Levels::timed_out(const Tally& tally) {
  if (tally.reached) return {};
  ++figures_.levels_timed_out_total;
  return fail(ErrorCode::timeout,
              "applied=" + std::to_string(tally.applied) + " need=" + std::to_string(tally.need));
}

Status Levels::admit(WriteLevel level, std::size_t bytes) const {
  return level == WriteLevel::one ? Status() : waits_.admit(bytes);
}

void Levels::reach(WriteLevel level, Bytes collection, const Made& made,
                   std::function<void(Status)> done) {
  const Collection* const place = database_.find(collection);
  if (level == WriteLevel::one || place == nullptr) return done({});
  waits_.begin({level, {place->ref(), made.dot}, made.position, made.bytes},
               [this, done = std::move(done)](const Result<Tally>& tally) {
                 done(tally ? timed_out(*tally) : Status(tl::unexpected(tally.error())));
               });
}

void Levels::ask_version(Bytes collection, Bytes key, Database::ReplyDone done) {
  database_.ask_at({.collection = std::string(collection),
                    .key = std::string(key),
                    .level = ReadLevel::linear,
                    .want = ReadWant::version},
                   std::move(done));
}

Status Levels::admit_asking(std::size_t bytes) const {
  if (asking_ == 0) return {};
  if (asking_ < level_waits_max && asking_bytes_ + bytes <= level_wait_bytes_max) return {};
  return fail(ErrorCode::busy, std::to_string(asking_) + " writes of " +
                                   std::to_string(asking_bytes_) +
                                   " bytes ask other nodes for a version already; nothing was "
                                   "written, try again in a moment");
}

void Levels::remove_newest(Bytes collection, Bytes key, Database::RemovedDone done) {
  ask_version(collection, key,
              [this, name = std::string(collection), key = std::string(key),
               done = std::move(done)](const FanoutReply& newest) {
                if (auto status = timed_out(newest.tally); !status)
                  return done(tl::unexpected(status.error()));
                if (!newest.record) return done(Database::Removed{});
                done(database_.remove_above(name, key, *newest.record));
              });
}

void Levels::set(WriteLevel level, Bytes collection, Bytes key, Bytes value,
                 const Database::SetOptions& options, WrittenDone done) {
  if (level == WriteLevel::one) return done(database_.set(collection, key, value, options));
  const std::size_t bytes = key.size() + value.size();
  if (auto status = waits_.admit(bytes); !status) return done(tl::unexpected(status.error()));
  if (level == WriteLevel::linear) {
    if (auto status = refuse_condition(options); !status)
      return done(tl::unexpected(status.error()));
    if (auto status = database_.member(); !status) return done(tl::unexpected(status.error()));
    if (auto status = admit_asking(bytes); !status) return done(tl::unexpected(status.error()));
    ++asking_;
    asking_bytes_ += bytes;
    return ask_version(collection, key,
                       [this, bytes, collection = std::string(collection), key = std::string(key),
                        value = std::string(value), wanted = Database::SetOptions(options),
                        done = std::move(done)](const FanoutReply& newest) mutable {
                         --asking_;
                         asking_bytes_ -= bytes;
                         if (auto status = timed_out(newest.tally); !status)
                           return done(tl::unexpected(status.error()));
                         wanted.above_hlc =
                             std::max(newest.record ? newest.record->version.hlc : 0,
                                      believed_forgotten_hlc(newest.forgotten_hlc, wall_now()));
                         set(WriteLevel::quorum, collection, key, value, wanted, std::move(done));
                       });
  }
  const auto written = database_.set(collection, key, value, options);
  if (!written) return done(written);
  reach(level, collection, {written->dot, written->position, bytes},
        [written = *written, done = std::move(done)](const Status& status) {
          done(status ? Result<Written>(written) : tl::unexpected(status.error()));
        });
}

void Levels::remove(WriteLevel level, Bytes collection, Bytes key, Database::RemovedDone done) {
  if (level == WriteLevel::one) return database_.remove(collection, key, std::move(done));
  if (auto status = waits_.admit(key.size()); !status) return done(tl::unexpected(status.error()));
  const auto removed = [this, level, name = std::string(collection), bytes = key.size(),
                        done = std::move(done)](const Result<Database::Removed>& made) {
    // There was nothing to delete.
    if (!made || made->position == 0) return done(made);
    reach(level, name, {made->dot, made->position, bytes},
          [made = *made, done](const Status& status) {
            done(status ? Result<Database::Removed>(made) : tl::unexpected(status.error()));
          });
  };
  if (level == WriteLevel::linear) {
    if (auto status = database_.member(); !status) return removed(tl::unexpected(status.error()));
    return remove_newest(collection, key, removed);
  }
  database_.remove(collection, key,
                   [this, name = std::string(collection), key = std::string(key),
                    removed](const Result<Database::Removed>& made) {
                     if (!made || made->position != 0) return removed(made);
                     // It is gone here; perhaps by a delete that never got further.
                     remove_newest(name, key, removed);
                   });
}

void Levels::read(ReadLevel level, Bytes collection, Bytes key, Database::FoundDone done) {
  if (level < ReadLevel::quorum)
    return database_.read(
        collection, key,
        level == ReadLevel::one ? Database::ReadFrom::here : Database::ReadFrom::cluster,
        std::move(done));
  if (auto status = database_.member(); !status) return done(tl::unexpected(status.error()));
  if (database_.reads_waiting() >= level_waits_max)
    return done(fail(ErrorCode::busy, std::to_string(database_.reads_waiting()) +
                                          " reads wait for other nodes already; try again in a "
                                          "moment"));
  database_.ask_at(
      {.collection = std::string(collection), .key = std::string(key), .level = level},
      [this, done = std::move(done)](FanoutReply reply) {
        if (auto status = timed_out(reply.tally); !status)
          return done(tl::unexpected(status.error()));
        const Dot dot = reply.record ? reply.record->dot : Dot();
        if (reply.record && !visible(*reply.record, database_.wall())) reply.record.reset();
        done(Database::Found{.record = std::move(reply.record), .partial = false, .dot = dot});
      });
}

}  // namespace dhrt
