// Runs commands so that MONITOR, SLOWLOG, LATENCY and INFO can tell of them.
//
// What they show of a command has no passwords in it. Threads: loop thread only.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "node/redis_call.h"
#include "protocol/fast_command.h"

namespace dhrt {

class Stopwatch {
 public:
  std::uint64_t nanoseconds() const {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin_).count());
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Runs the handler of a call.
void run_observed(RedisCall& call);
// One that was not run at all.
void note_refused(CommandServer& server, const RedisCommand& command);

// What is shown of who sent a command, and of the command.
struct RedisSent {
  std::vector<std::string> words;
  std::string address;
  std::string name;
};
RedisSent sent_of(RedisCall& call);
// Looks whether it was slow.
void note_time(RedisShared& shared, const RedisCommand& command, FunctionRef<RedisSent()> sent,
               std::uint64_t nanoseconds);

// A run of plain reads and writes, and the first of them.
struct RedisFastRun {
  const FastCommand& first;
  std::uint64_t gets = 0;
  std::uint64_t sets = 0;
  std::uint64_t nanoseconds = 0;
};
void note_fast_run(CommandServer& server, const Session& session, const RedisClient& client,
                   const RedisFastRun& run);
// A line of native text.
void show_line(CommandServer& server, const Session& session, std::span<const Bytes> words);

}  // namespace dhrt
