#include "tests/bench/workload.h"

#include <algorithm>
#include <limits>

namespace dhrt::bench {

namespace {

constexpr std::size_t verb_bytes = 4;  // "SET " and "GET ".

std::string zero_filled(std::uint64_t number, std::size_t bytes) {
  std::string digits = std::to_string(number);
  return digits.size() < bytes ? std::string(bytes - digits.size(), '0') + digits : digits;
}

std::string value_tail(const WorkloadOptions& options) {
  return '-' + zero_filled(options.stamp, 8);
}

}  // namespace

Status validate(const WorkloadOptions& options) {
  if (options.keyspace == 0 || options.keyspace > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorCode::invalid_argument, "--keyspace is " + std::to_string(options.keyspace) +
                                                 "; give a number from 1 to 4294967295");
  }
  if (options.key_bytes == 0 || options.key_bytes > 511) {
    return fail(ErrorCode::invalid_argument, "--key-bytes is " + std::to_string(options.key_bytes) +
                                                 "; give a number from 1 to 511");
  }
  if (std::to_string(options.keyspace - 1).size() > options.key_bytes) {
    return fail(ErrorCode::invalid_argument,
                "--keyspace " + std::to_string(options.keyspace) + " has longer numbers than " +
                    std::to_string(options.key_bytes) + " bytes; raise --key-bytes");
  }
  if (options.value_bytes == 0 || options.value_bytes > 16 * 1024 * 1024) {
    return fail(ErrorCode::invalid_argument, "--value-bytes is " +
                                                 std::to_string(options.value_bytes) +
                                                 "; give a number from 1 to 16777216");
  }
  return {};
}

Workload::Workload(const WorkloadOptions& options)
    : options_(options),
      random_(options.seed),
      key_in_value_bytes_(std::min(options.key_bytes, options.value_bytes)) {
  keys_.reserve(options.keyspace * options.key_bytes);
  for (std::uint64_t key = 0; key < options.keyspace; ++key)
    keys_ += zero_filled(key, options.key_bytes);
  std::string value = std::string(key_text(0)) + value_tail(options);
  value.resize(options.value_bytes, 'x');
  get_line_ = "GET " + std::string(key_text(0)) + "\r\n";
  set_line_ = "SET " + std::string(key_text(0)) + ' ' + value + "\r\n";
  if (options.stamp != 0)
    checked_tail_ = value_tail(options).substr(0, options.value_bytes - key_in_value_bytes_);
}

Bytes Workload::key_text(std::uint32_t key) const {
  return Bytes(keys_).substr(std::size_t{key} * options_.key_bytes, options_.key_bytes);
}

Request Workload::next() {
  Request request;
  request.reads = options_.command == Command::get ||
                  (options_.command == Command::mixed && random_.below(2) == 0);
  request.key = static_cast<std::uint32_t>(options_.order == KeyOrder::sequential
                                               ? sequence_++ % options_.keyspace
                                               : random_.below(options_.keyspace));
  return request;
}

void Workload::append_line(const Request& request, std::string& out) const {
  const Bytes key = key_text(request.key);
  const std::size_t line = out.size();
  out += request.reads ? get_line_ : set_line_;
  key.copy(out.data() + line + verb_bytes, key.size());
  if (!request.reads)
    key.copy(out.data() + line + verb_bytes + key.size() + 1, key_in_value_bytes_);
}

bool Workload::is_value_of(std::uint32_t key, Bytes value) const {
  return value.size() == options_.value_bytes &&
         value.starts_with(key_text(key).substr(0, key_in_value_bytes_)) &&
         value.substr(key_in_value_bytes_).starts_with(checked_tail_);
}

}  // namespace dhrt::bench
