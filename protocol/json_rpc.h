// JSON-RPC over HTTP bodies: 2.0, and 1.0 as Hati speaks it. A body in, calls out; their outcomes
// in, the body of the reply out.
//
//   body     := (object | batch)*             each answered on a line of its own, in order
//   batch    := '[' object (',' object)* ']'  calls of 2.0 only, answered as one list
//   object   := a call of 2.0 if it says "jsonrpc":"2.0", else of 1.0
//   params   := [{name: argument ...}] | {name: argument ...}
//
// An id comes back byte for byte. A call of 1.0 without one is answered with null, one of 2.0 is a
// notification and not answered. What is no JSON ends the body: it is answered by an error, behind
// the calls that were good. A batch is good or bad as a whole.
//
// Bounds: body_calls_max calls, call_values_max values in one; memory is taken for what has
// arrived. Errors: a call that cannot be made carries its Fault. Threads: any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt::rpc {

enum class Version { one, two };

namespace code {
inline constexpr int parse_error = -32700;
inline constexpr int bad_request = -32600;
inline constexpr int no_method = -32601;
inline constexpr int bad_params = -32602;
inline constexpr int internal = -32603;
inline constexpr int not_found = -32001;
inline constexpr int refused = -32002;
inline constexpr int overloaded = -32003;
inline constexpr int timed_out = -32004;
}  // namespace code

// Calls of 1.0 are told the message only.
struct Fault {
  int code = code::internal;
  std::string message;

  bool operator==(const Fault&) const = default;
};

struct Argument {
  std::string name;
  bool is_text = false;
  std::string value;  // Of a text itself, of anything else as JSON.

  bool operator==(const Argument&) const = default;
};

struct Call {
  Version version = Version::one;
  std::string id = "null";  // As JSON.
  bool notifies = false;    // No answer is wanted.
  std::string method;
  std::vector<Argument> arguments;
  std::optional<Fault> fault;         // It is none.
  std::optional<Fault> params_fault;  // It is one, but for a method that wants arguments.

  // As Hati did, small and large letters are the same if no name is exactly that.
  const Argument* find(Bytes name) const;
};

struct Part {
  bool is_batch = false;
  std::vector<Call> calls;
};

// As many as replies may wait on a connection.
inline constexpr std::size_t body_calls_max = 16384;
// Names and arguments of any method fit many times over.
inline constexpr std::size_t call_values_max = 32;

std::vector<Part> parse_body(Bytes body);

struct Outcome {
  std::string result;  // As JSON.
  std::optional<Fault> fault;
};

// A string as JSON. For 1.0 it is escaped as Hati did it: also `<`, `>` and `&`.
std::string quoted(Bytes utf8, Version version);

// The reply to a body: for each part begin(), outcome() for each of its calls in order, end().
class ReplyBody {
 public:
  void begin(const Part& part);
  void outcome(const Call& call, const Outcome& outcome);
  void end();
  std::size_t bytes() const { return out_.size(); }
  // Empty if nothing is to be answered.
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  bool is_batch_ = false;
  std::size_t answered_ = 0;  // Of the part.
};

}  // namespace dhrt::rpc
