// BITFIELD: a value as a row of integers of any width.
#include <algorithm>
#include <limits>
#include <vector>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

constexpr unsigned bits_per_byte = 8;
// Holds every sum of two integers of 64 bits, signed or not.
__extension__ using Wide = __int128;

struct Width {
  bool is_signed = false;
  unsigned bits = 0;

  Wide least() const { return is_signed ? -(Wide{1} << (bits - 1)) : Wide{0}; }
  Wide most() const { return (Wide{1} << (is_signed ? bits - 1 : bits)) - 1; }
};

enum class Overflow { wraps, saturates, fails };

struct Step {
  enum class Kind { get, set, increment };
  Kind kind = Kind::get;
  Width width;
  std::size_t at = 0;  // Of its first bit, the highest one.
  std::int64_t number = 0;
  Overflow overflow = Overflow::wraps;

  std::size_t end() const { return at + width.bits; }
};

// i1 to i64, u1 to u63.
std::optional<Width> width_of(Bytes text) {
  if (text.empty() || (text.front() != 'i' && text.front() != 'u')) return std::nullopt;
  const bool is_signed = text.front() == 'i';
  const auto bits = resp::parse_integer(text.substr(1));
  if (!bits || *bits < 1 || *bits > (is_signed ? 64 : 63)) return std::nullopt;
  return Width{is_signed, static_cast<unsigned>(*bits)};
}

// A number of bits, or behind '#' of integers of this width. Absent: the call has failed.
std::optional<std::size_t> offset_of(RedisCall& call, Bytes text, Width width) {
  const bool in_integers = text.starts_with('#');
  const auto number = resp::parse_integer(in_integers ? text.substr(1) : text);
  const std::int64_t unit = in_integers ? width.bits : 1;
  // Redis' own limit: 512 MiB of bits.
  constexpr std::int64_t bits_max = std::int64_t{1} << 32;
  if (number && *number >= 0 && *number < bits_max / unit + 1 && *number * unit < bits_max)
    return static_cast<std::size_t>(*number * unit);
  call.fail("ERR bit offset is not an integer or out of range");
  return std::nullopt;
}

std::optional<Overflow> overflow_of(Bytes word) {
  if (is_word(word, "wrap")) return Overflow::wraps;
  if (is_word(word, "sat")) return Overflow::saturates;
  if (is_word(word, "fail")) return Overflow::fails;
  return std::nullopt;
}

class StepReader {
 public:
  StepReader(RedisCall& call, bool only_reads) : call_(call), only_reads_(only_reads) {}

  // False: the call has failed.
  bool read(std::vector<Step>& steps) {
    while (at_ < call_.count()) {
      if (is_word(call_.word(at_), "overflow") && has(1)) {
        const auto overflow = overflow_of(call_.word(at_ + 1));
        if (!overflow) return fail("ERR Invalid OVERFLOW type specified");
        overflow_ = *overflow;
        at_ += 2;
        continue;
      }
      if (!read_step(steps)) return false;
    }
    const auto writes = [](const Step& step) { return step.kind != Step::Kind::get; };
    if (only_reads_ && std::ranges::any_of(steps, writes))
      return fail("ERR BITFIELD_RO only supports the GET subcommand");
    return true;
  }

 private:
  bool has(std::size_t words) const { return at_ + words < call_.count(); }
  bool fail(Bytes message) {
    call_.fail(message);
    return false;
  }

  bool read_step(std::vector<Step>& steps) {
    const Bytes name = call_.word(at_);
    Step step{.overflow = overflow_};
    if (is_word(name, "get") && has(2)) {
      step.kind = Step::Kind::get;
    } else if (is_word(name, "set") && has(3)) {
      step.kind = Step::Kind::set;
    } else if (is_word(name, "incrby") && has(3)) {
      step.kind = Step::Kind::increment;
    } else {
      return fail("ERR syntax error");
    }
    const auto width = width_of(call_.word(at_ + 1));
    if (!width)
      return fail(
          "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
          "but i64 is.");
    step.width = *width;
    const auto offset = offset_of(call_, call_.word(at_ + 2), *width);
    if (!offset) return false;
    step.at = *offset;
    at_ += 3;
    if (step.kind != Step::Kind::get) {
      const auto number = call_.integer(call_.word(at_++));
      if (!number) return false;
      step.number = *number;
    }
    steps.push_back(step);
    return true;
  }

  RedisCall& call_;
  const bool only_reads_;
  std::size_t at_ = 2;
  Overflow overflow_ = Overflow::wraps;
};

// Behind the end of a value there are zeros.
Wide load(Bytes value, const Step& step) {
  std::uint64_t bits = 0;
  for (std::size_t bit = step.at; bit < step.end(); ++bit) {
    const std::size_t byte = bit / bits_per_byte;
    const unsigned held = byte < value.size() ? static_cast<unsigned char>(value[byte]) : 0;
    bits = bits << 1 | (held >> (bits_per_byte - 1 - bit % bits_per_byte) & 1U);
  }
  const Wide number = bits;
  return number > step.width.most() ? number - (Wide{1} << step.width.bits) : number;
}

void store(std::string& value, const Step& step, Wide number) {
  const auto bits = static_cast<std::uint64_t>(number);
  for (unsigned i = 0; i < step.width.bits; ++i) {
    const std::size_t bit = step.at + i;
    const auto mask = static_cast<unsigned char>(0x80U >> (bit % bits_per_byte));
    const bool is_set = (bits >> (step.width.bits - 1 - i) & 1U) != 0;
    auto byte = static_cast<unsigned char>(value[bit / bits_per_byte]);
    byte = static_cast<unsigned char>(is_set ? byte | mask : byte & ~mask);
    value[bit / bits_per_byte] = static_cast<char>(byte);
  }
}

// What is stored of a number that may be out of range; absent: nothing.
std::optional<Wide> fitted(Wide number, const Step& step) {
  const Width& width = step.width;
  if (number >= width.least() && number <= width.most()) return number;
  if (step.overflow == Overflow::fails) return std::nullopt;
  if (step.overflow == Overflow::saturates)
    return number < width.least() ? width.least() : width.most();
  const Wide range = Wide{1} << width.bits;
  const Wide wrapped = (number % range + range) % range;
  return wrapped > width.most() ? wrapped - range : wrapped;
}

// The number that a step wants to be there; of an unsigned one a negative number is a large one.
Wide wanted(const Step& step, Wide old) {
  if (step.kind == Step::Kind::increment) return old + step.number;
  return step.width.is_signed ? Wide{step.number} : Wide{static_cast<std::uint64_t>(step.number)};
}

using Results = std::vector<std::optional<std::int64_t>>;

// Whether any of them stored something, be it what was there.
bool run_steps(const std::vector<Step>& steps, std::string& value, Results& results) {
  bool has_stored = false;
  results.clear();
  for (const Step& step : steps) {
    const Wide old = load(value, step);
    std::optional<Wide> result = old;
    if (step.kind != Step::Kind::get) {
      const std::optional<Wide> stored = fitted(wanted(step, old), step);
      if (stored) store(value, step, *stored);
      has_stored = has_stored || stored;
      if (!stored || step.kind == Step::Kind::increment) result = stored;
    }
    results.push_back(result ? std::optional(static_cast<std::int64_t>(*result)) : std::nullopt);
  }
  return has_stored;
}

void give(RedisCall& call, const Results& results) {
  call.reply().array(results.size());
  for (const auto& result : results) {
    if (!call.has_room()) return;
    if (result)
      call.reply().integer(*result);
    else
      call.reply().null();
  }
}

void only_read(RedisCall& call, const std::vector<Step>& steps) {
  Results results;
  const bool known = call.read(call.word(1), [&](const RecordView* held) {
    const Bytes value = held == nullptr ? Bytes() : held->value;
    for (const Step& step : steps)
      results.emplace_back(static_cast<std::int64_t>(load(value, step)));
  });
  if (known) give(call, results);
}

}  // namespace

// BITFIELD key [GET width offset | [OVERFLOW WRAP|SAT|FAIL] SET width offset number |
// INCRBY width offset number ...]
void bit_field(RedisCall& call) {
  std::vector<Step> steps;
  if (!StepReader(call, call.command().name == "bitfield_ro").read(steps)) return;
  std::size_t bits = 0;
  for (const Step& step : steps) {
    if (step.kind != Step::Kind::get) bits = std::max(bits, step.end());
  }
  if (bits == 0) return only_read(call, steps);
  const std::size_t bytes = (bits + bits_per_byte - 1) / bits_per_byte;
  if (!call.fits(bytes) || !call.settled()) return;
  std::string value;
  Results results;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    value = held == nullptr ? std::string() : std::string(held->value);
    value.resize(std::max(value.size(), bytes));
    change.value = value;
    return run_steps(steps, value, results);  // In place: the value stays where it is.
  });
  if (done) give(call, results);
}

}  // namespace dhrt::redis
