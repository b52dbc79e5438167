// What the load generator asks, and which answer it expects.
//
// Intuition: a value begins with its key and the stamp of the run that wrote it, so a reader sees
// whether it got the value of its own key, and of the run that it means.
//
// Every reply is checked: one that is exactly as it should be by comparing (matches), any other by
// reading it.
//
//   key    := decimal number, filled with zeros on the left       (exactly key_bytes)
//   value  := (key '-' stamp ('x')*), cut at value_bytes          (exactly value_bytes)
//
// Bounds: keyspace <= 10^key_bytes and < 2^32.   Errors: only validate().   Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/random.h"
#include "storage/base/result.h"
#include "tests/bench/dialect.h"

namespace dhrt::bench {

enum class Command { set, get, mixed };  // mixed: each half of the requests, at random.
enum class KeyOrder { random, sequential };
// own: a value names its key and its stamp; any: constant replies, of which the size is checked.
enum class Values { own, any };

struct WorkloadOptions {
  Dialect dialect = Dialect::text;
  Command command = Command::set;
  Values values = Values::own;
  KeyOrder order = KeyOrder::random;
  std::uint64_t keyspace = 100000;
  std::size_t key_bytes = 16;
  std::size_t value_bytes = 100;
  std::uint64_t seed = 1;   // Same seed, same keys in the same order.
  std::uint64_t stamp = 0;  // Written into values; 0 also: a reader takes any stamp.
  std::string ack;          // Level of a SET of dhrt; empty: none is named.
};

Status validate(const WorkloadOptions& options);

struct Request {
  std::uint32_t key = 0;
  bool reads = false;
};

class Workload {
 public:
  explicit Workload(const WorkloadOptions& options);

  Request next();
  void append_request(const Request& request, std::string& out) const;
  // The bytes of the reply at the front of `input`, if it is exactly the expected one; else 0.
  std::size_t matches(const Request& request, Bytes input) const;
  ReplyView read(Bytes input) const { return read_reply_of(options_.dialect, input); }
  // Is this the value that a reader of `key` may see?
  bool is_value_of(std::uint32_t key, Bytes value) const;

 private:
  // The digits of a key that differ between keys: the last ones.
  void write_digits(std::uint32_t key, char* key_text) const;
  bool has_digits(std::uint32_t key, const char* key_text) const;

  WorkloadOptions options_;
  Random random_;
  std::uint64_t sequence_ = 0;
  std::string zeros_;      // As many as a key has bytes.
  std::size_t digits_;     // Of the highest key.
  std::size_t digits_at_;  // Within a key.
  std::size_t key_in_value_bytes_;
  std::string checked_tail_;  // What follows the key in a value, as far as it is compared.
  Phrases phrases_;
};

}  // namespace dhrt::bench
