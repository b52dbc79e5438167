// Executes runs of reads and writes of single keys that a dialect recognised (FastBatch).
//
// Intuition: all keys of a run are hashed and announced first, so that memory fetches where their
// records are while the first ones are done, and the records some commands before their turn. A
// command that cannot be answered from what is held here, or whose answer is an error, is left to
// the general path, which knows how. Threads: loop thread only.
#pragma once

#include "node/database.h"
#include "node/session.h"
#include "protocol/fast_command.h"
#include "protocol/limits.h"
#include "storage/base/function_ref.h"

namespace dhrt {

class FastExecutor {
 public:
  // All outlive the executor, which lives for one batch.
  // `null`: the reply to a read of what is not there.
  FastExecutor(Database& database, NodeFigures::OfDialect& figures, const ProtocolLimits& limits,
               Session& session, Bytes null)
      : database_(database), figures_(figures), limits_(limits), session_(session), null_(null) {}

  // Executes commands at the front of `input` which were recognised there, as many as the session
  // takes. `take_one` is the general path, for the bytes of one command.
  ClientProtocol::Took run(FastBatch& batch, Bytes input, FunctionRef<void(Bytes)> take_one);

  // How many of each were done here.
  std::uint64_t gets() const { return gets_; }
  std::uint64_t sets() const { return sets_; }

 private:
  // Before the first of them is executed.
  void announce(FastBatch& batch);
  // False: nothing was done or answered, the general path is to do it.
  bool execute(const FastCommand& command);
  // Null if the name is not one of a collection.
  const Database::Place* place_of(Bytes collection);
  void fetch_ahead();
  bool get(const FastCommand& command, const Database::Place& place);
  bool set(const FastCommand& command, const Database::Place& place);

  Database& database_;
  NodeFigures::OfDialect& figures_;
  const ProtocolLimits& limits_;
  Session& session_;
  Bytes null_;
  // The collection of the command before this one: a lookup per run instead of one per command.
  Bytes place_name_;
  bool may_read_ = false;  // There, by the client's token.
  bool may_write_ = false;
  Database::Place place_;
  // Commands of the batch whose records were not asked for yet.
  const FastCommand* ahead_ = nullptr;
  const FastCommand* end_ = nullptr;
  std::uint64_t gets_ = 0;
  std::uint64_t sets_ = 0;
};

}  // namespace dhrt
