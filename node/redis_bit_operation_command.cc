// BITOP: values of several keys, bit by bit.
#include <algorithm>

#include "node/redis_call.h"
#include "node/redis_commands.h"

namespace dhrt::redis {

namespace {

enum class Operation { conjunction, disjunction, difference, negation };

std::optional<Operation> operation_of(Bytes word) {
  if (is_word(word, "and")) return Operation::conjunction;
  if (is_word(word, "or")) return Operation::disjunction;
  if (is_word(word, "xor")) return Operation::difference;
  if (is_word(word, "not")) return Operation::negation;
  return std::nullopt;
}

// Behind the end of the shorter one there are zeros.
void combine(std::string& result, Bytes value, Operation operation) {
  if (result.size() < value.size()) result.resize(value.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto left = static_cast<unsigned char>(result[i]);
    const auto right = static_cast<unsigned char>(i < value.size() ? value[i] : '\0');
    const unsigned both = operation == Operation::conjunction   ? left & right
                          : operation == Operation::disjunction ? left | right
                                                                : left ^ right;
    result[i] = static_cast<char>(both);
  }
}

void negate(std::string& value) {
  std::ranges::transform(value, value.begin(), [](char byte) { return static_cast<char>(~byte); });
}

}  // namespace

// BITOP AND|OR|XOR|NOT target key [key ...]
void bit_operation(RedisCall& call) {
  const auto operation = operation_of(call.word(1));
  if (!operation) return call.syntax_error();
  if (*operation == Operation::negation && call.count() != 4)
    return call.fail("ERR BITOP NOT must be called with a single source key.");
  std::string result;
  for (std::size_t at = 3; at < call.count(); ++at) {
    const bool known = call.read(call.word(at), [&](const RecordView* held) {
      const Bytes value = held == nullptr ? Bytes() : held->value;
      if (at == 3)
        result = value;
      else
        combine(result, value, *operation);
      call.client().changed_bytes += value.size();
    });
    if (!known) return;
  }
  if (*operation == Operation::negation) negate(result);
  const Change fresh = call.fresh(result);
  const bool done = call.change(call.word(2), [&](const RecordView* held, Change& change) {
    if (result.empty()) {
      change.deletes = true;
      return held != nullptr;
    }
    change = fresh;
    return true;
  });
  if (done) call.reply().integer(static_cast<std::int64_t>(result.size()));
}

}  // namespace dhrt::redis
