#include "protocol/resp_command.h"

#include <algorithm>
#include <utility>

#include "protocol/resp_number.h"

namespace dhrt::resp {

namespace {

// Type, sign, digits of any number that is good, line end: a longer line is no number.
constexpr std::size_t number_line_bytes_max = 32;
// Words whose memory is kept for the next command.
constexpr std::size_t kept_words_max = 1024;

std::string printable(char c) {
  return std::string(1, c >= ' ' && c <= '~' ? c : '?');
}

}  // namespace

CommandReader::Step CommandReader::fatal(std::string message) {
  error_ = "Protocol error: " + std::move(message);
  return Step::fatal;
}

// The line at at_: its type, a number, a line end.
CommandReader::Step CommandReader::take_number(Bytes input, char type, std::int64_t& number) {
  const Bytes rest = input.substr(at_, number_line_bytes_max);
  const char* const what = type == '*' ? "invalid multibulk length" : "invalid bulk length";
  if (rest.empty()) return Step::need_more;
  if (rest.front() != type)
    return fatal("expected '" + std::string(1, type) + "', got '" + printable(rest.front()) + "'");
  const std::size_t end = rest.find('\r');
  if (end == Bytes::npos)
    return rest.size() < number_line_bytes_max ? Step::need_more : fatal(what);
  if (end + 1 == rest.size())
    return rest.size() < number_line_bytes_max ? Step::need_more : fatal(what);
  const auto parsed = parse_integer(rest.substr(1, end - 1));
  if (rest[end + 1] != '\n' || !parsed) return fatal(what);
  number = *parsed;
  at_ += end + 2;
  return Step::done;
}

CommandReader::Step CommandReader::take_count(Bytes input, const ProtocolLimits& limits) {
  std::int64_t count = 0;
  if (const Step step = take_number(input, '*', count); step != Step::done) return step;
  if (count > 0 && static_cast<std::uint64_t>(count) > limits.arguments_max)
    return fatal("invalid multibulk length: " + std::to_string(count) + " words, the limit is " +
                 std::to_string(limits.arguments_max) + "; split the command");
  missing_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  state_ = State::head;
  return Step::done;
}

CommandReader::Step CommandReader::take_head(Bytes input, const ProtocolLimits& limits) {
  std::int64_t length = 0;
  if (const Step step = take_number(input, '$', length); step != Step::done) return step;
  // In Redis' words and no more, which clients know: no setting goes that far.
  if (length < 0 || static_cast<std::uint64_t>(length) > value_bytes_ceiling)
    return fatal("invalid bulk length");
  size_ = static_cast<std::size_t>(length);
  state_ = State::body;
  if (!error_.empty()) {
    state_ = State::dropping;
  } else if (size_ > limits.value_bytes_max) {
    error_ = "a string of " + std::to_string(size_) + " bytes is above the limit of " +
             std::to_string(limits.value_bytes_max) + "; --max-value-bytes moves it";
    state_ = State::dropping;
  } else if (at_ + size_ > command_bytes_max(limits)) {
    error_ = "a command has more than " + std::to_string(command_bytes_max(limits)) +
             " bytes; split it, or raise --max-value-bytes";
    state_ = State::dropping;
  }
  if (state_ == State::dropping) size_ += 2;
  return Step::done;
}

CommandReader::Step CommandReader::take_body(Bytes input) {
  if (input.size() - at_ < size_ || input.size() - at_ - size_ < 2) return Step::need_more;
  if (input.substr(at_ + size_, 2) != "\r\n")
    return fatal("expected a line end behind a bulk string of " + std::to_string(size_) + " bytes");
  ranges_.push_back({at_, size_});
  at_ += size_ + 2;
  --missing_;
  state_ = State::head;
  return Step::done;
}

// Whatever these bytes are: the command is not carried out.
CommandReader::Step CommandReader::drop(Bytes input) {
  const std::size_t dropped = std::min(size_, input.size() - at_);
  at_ += dropped;
  size_ -= dropped;
  if (size_ > 0) return Step::need_more;
  --missing_;
  state_ = State::head;
  return Step::done;
}

CommandReader::Step CommandReader::step(Bytes input, const ProtocolLimits& limits) {
  switch (state_) {
    case State::start:
      return take_count(input, limits);
    case State::head:
      return take_head(input, limits);
    case State::body:
      return take_body(input);
    case State::dropping:
      return drop(input);
  }
  return Step::need_more;
}

CommandReader::Read CommandReader::read(Bytes input, const ProtocolLimits& limits) {
  Step taken = Step::done;
  while (taken == Step::done && (state_ == State::start || missing_ > 0))
    taken = step(input, limits);
  if (taken == Step::need_more) {
    Read read;
    // What is dropped need not be kept.
    if (!error_.empty()) read.consumed = std::exchange(at_, 0);
    return read;
  }
  if (taken == Step::fatal) {
    Read read{.outcome = Read::Outcome::fatal, .consumed = input.size()};
    read.message = std::exchange(error_, {});
    finish(input);
    return read;
  }
  return finish(input);
}

CommandReader::Read CommandReader::finish(Bytes input) {
  Read read{.outcome = Read::Outcome::command, .consumed = std::exchange(at_, 0)};
  words_.clear();
  if (words_.capacity() > kept_words_max) words_ = {};
  if (!error_.empty()) {
    read.outcome = Read::Outcome::error;
    read.message = std::exchange(error_, {});
  } else {
    for (const Range& range : ranges_)
      words_.push_back(input.substr(range.at, range.size));
    read.words = words_;
  }
  ranges_.clear();
  if (ranges_.capacity() > kept_words_max) ranges_ = {};
  state_ = State::start;
  missing_ = 0;
  return read;
}

}  // namespace dhrt::resp
