#include "tests/bench/workload.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace dhrt::bench {

namespace {

// "000102...99": two digits at a time.
constexpr auto digit_pair_bytes = [] {
  std::array<char, 200> pairs{};
  for (std::size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();
constexpr Bytes digit_pairs(digit_pair_bytes.data(), digit_pair_bytes.size());

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
  if (!options.ack.empty() && options.dialect != Dialect::text)
    return fail(ErrorCode::invalid_argument, "--ack is for --dialect text");
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
      zeros_(options.key_bytes, '0'),
      digits_(std::to_string(options.keyspace - 1).size()),
      digits_at_(options.key_bytes - digits_),
      key_in_value_bytes_(std::min(options.key_bytes, options.value_bytes)) {
  std::string value = zeros_ + value_tail(options);
  value.resize(options.value_bytes, 'x');
  phrases_ = phrases_of(options.dialect, zeros_, value, options.ack);
  if (options.stamp != 0)
    checked_tail_ = value_tail(options).substr(0, options.value_bytes - key_in_value_bytes_);
}

void Workload::write_digits(std::uint32_t key, char* key_text) const {
  std::size_t at = options_.key_bytes;
  for (std::size_t i = 0; i + 1 < digits_; i += 2) {
    at -= 2;
    digit_pairs.copy(key_text + at, 2, std::size_t{2} * (key % 100));
    key /= 100;
  }
  if (digits_ % 2 != 0) key_text[at - 1] = static_cast<char>('0' + key % 10);
}

bool Workload::has_digits(std::uint32_t key, const char* key_text) const {
  std::array<char, 512> digits;  // Only the end is written and read.
  write_digits(key, digits.data());
  return std::memcmp(digits.data() + digits_at_, key_text + digits_at_, digits_) == 0;
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

void Workload::append_request(const Request& request, std::string& out) const {
  const Template& phrase = request.reads ? phrases_.get : phrases_.set;
  const std::size_t begin = out.size();
  out += phrase.bytes;
  char* key = out.data() + begin + phrase.key_at;
  write_digits(request.key, key);
  if (phrase.value_at != nowhere)
    std::memcpy(out.data() + begin + phrase.value_at, key, key_in_value_bytes_);
}

std::size_t Workload::matches(const Request& request, Bytes input) const {
  const Template& reply = request.reads ? phrases_.get_reply : phrases_.set_reply;
  const std::size_t bytes = reply.bytes.size();
  if (bytes == 0 || input.size() < bytes) return 0;
  const char* expected = reply.bytes.data();
  if (!request.reads) return std::memcmp(input.data(), expected, bytes) == 0 ? bytes : 0;
  const std::size_t value_end = reply.value_at + options_.value_bytes;
  const std::size_t head_end = reply.key_at == nowhere ? reply.value_at : reply.key_at;
  const bool framed =
      std::memcmp(input.data(), expected, head_end) == 0 &&
      std::memcmp(input.data() + value_end, expected + value_end, bytes - value_end) == 0;
  if (!framed || !is_value_of(request.key, input.substr(reply.value_at, options_.value_bytes)))
    return 0;
  if (reply.key_at == nowhere) return bytes;
  const std::size_t key_end = reply.key_at + options_.key_bytes;
  const bool same_key =
      input.substr(reply.key_at, digits_at_) == Bytes(zeros_).substr(0, digits_at_) &&
      has_digits(request.key, input.data() + reply.key_at) &&
      std::memcmp(input.data() + key_end, expected + key_end, reply.value_at - key_end) == 0;
  return same_key ? bytes : 0;
}

bool Workload::is_value_of(std::uint32_t key, Bytes value) const {
  if (value.size() != options_.value_bytes) return false;
  if (options_.values == Values::any) return true;
  if (key_in_value_bytes_ == options_.key_bytes) {
    return value.substr(0, digits_at_) == Bytes(zeros_).substr(0, digits_at_) &&
           has_digits(key, value.data()) &&
           value.substr(key_in_value_bytes_).starts_with(checked_tail_);
  }
  std::string text = zeros_;
  write_digits(key, text.data());
  return Bytes(text).starts_with(value);
}

}  // namespace dhrt::bench
