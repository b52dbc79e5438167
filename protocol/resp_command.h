// Commands as Redis clients send them: an array of bulk strings.
//
//   command := '*' count CR LF ('$' length CR LF bytes CR LF) x count
//
// Numbers are decimal without leading zeros or '+'. A count of 0 or less is an empty command, to
// be ignored. Errors begin as Redis words them ("Protocol error: ..."); behind most of them nobody
// knows where the next command begins, so that the connection is to be closed. A bulk string above
// the limit is dropped as it arrives, and the command answered with an error when it is over.
//
// Bounds: arguments_max words, command_bytes_max() bytes. Reserves nothing for what is announced.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/limits.h"
#include "storage/base/bytes.h"

namespace dhrt::resp {

// What one command may have altogether.
inline constexpr std::size_t command_bytes_max(const ProtocolLimits& limits) {
  return limits.value_bytes_max + limits.words_bytes_max;
}

class CommandReader {
 public:
  struct Read {
    enum class Outcome { need_more, command, error, fatal };
    Outcome outcome = Outcome::need_more;
    // Bytes at the front of the input that are done with; also of a command that is being dropped.
    std::size_t consumed = 0;
    std::span<const Bytes> words{};  // Borrowed from the input and the reader.
    std::string message{};           // Behind "ERR ". After a fatal one: close.
  };
  // Reads at the front of `input`. After need_more, `input` begins next time with the same bytes,
  // without those consumed, and only what is new is looked at.
  Read read(Bytes input, const ProtocolLimits& limits);
  // A command has begun: the next bytes belong to it.
  bool midway() const { return state_ != State::start; }

 private:
  enum class State { start, head, body, dropping };
  enum class Step { done, need_more, fatal };

  Step take_number(Bytes input, char type, std::int64_t& number);
  Step take_count(Bytes input, const ProtocolLimits& limits);
  Step take_head(Bytes input, const ProtocolLimits& limits);
  Step take_body(Bytes input);
  Step drop(Bytes input);
  Step step(Bytes input, const ProtocolLimits& limits);
  Step fatal(std::string message);
  Read finish(Bytes input);

  struct Range {
    std::size_t at;
    std::size_t size;
  };
  State state_ = State::start;
  std::size_t at_ = 0;       // In the input: up to here it was read.
  std::size_t missing_ = 0;  // Words that are still to come.
  std::size_t size_ = 0;     // Of the word whose bytes are next.
  std::vector<Range> ranges_;
  std::vector<Bytes> words_;
  std::string error_;
};

}  // namespace dhrt::resp
