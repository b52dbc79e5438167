// What the load generator asks, and which answer it expects.
//
// Intuition: all lines of a command have one length, so a batch is a template in which only keys
// change. A value begins with its key and the stamp of the run that wrote it, so a reader sees
// whether it got the value of its own key, and of the run that it means.
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

namespace dhrt::bench {

enum class Command { set, get, mixed };  // mixed: each half of the requests, at random.
enum class KeyOrder { random, sequential };

struct WorkloadOptions {
  Command command = Command::set;
  KeyOrder order = KeyOrder::random;
  std::uint64_t keyspace = 100000;
  std::size_t key_bytes = 16;
  std::size_t value_bytes = 100;
  std::uint64_t seed = 1;   // Same seed, same keys in the same order.
  std::uint64_t stamp = 0;  // Written into values; 0 also: a reader takes any stamp.
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
  void append_line(const Request& request, std::string& out) const;
  // Is this the value that a reader of `key` may see?
  bool is_value_of(std::uint32_t key, Bytes value) const;

 private:
  Bytes key_text(std::uint32_t key) const;

  WorkloadOptions options_;
  Random random_;
  std::uint64_t sequence_ = 0;
  std::string keys_;      // Every key, one behind the other: formatting them would cost time.
  std::string get_line_;  // "GET <key>\r\n" with some key.
  std::string set_line_;  // "SET <key> <value>\r\n", likewise.
  std::size_t key_in_value_bytes_;
  std::string checked_tail_;  // What follows the key in a value, as far as it is compared.
};

}  // namespace dhrt::bench
