// How a function of ours fails: it returns an Error, it never throws.
//
// A code exists only where some caller reacts to it; everything else is told by the message:
// what failed, the value, what to do. Absence is not an error, it is std::optional. A broken
// invariant of our own is not an error either, it is a `check`.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace dhrt {

enum class ErrorCode {
  invalid_argument,  // The caller's input is wrong; asking again unchanged is useless.
  not_found,         // The thing named does not exist.
  precondition,      // The record is not in the state that the caller asked for.
  corrupt,           // Bytes from disk or peer do not decode; the data is damaged.
  full,              // No space is left on the disk, or a limit is reached; retry later.
  busy,              // Somebody else holds it: a port, a data directory.
  io,                // The operating system refused; the message names the call.
  unavailable,       // Not now: not a member yet, no peer, a failed fsync.
  denied,            // The caller may not do that, or has not shown who it is.
  timeout,           // No answer in time; what was asked for may still happen.
};

struct Error {
  ErrorCode code;
  std::string message;
};

// A value or an Error. tl::expected is not [[nodiscard]]; this is.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// Adds what the caller was doing, once per layer: "open collection users: disk full".
inline tl::unexpected<Error> fail(Error error, const std::string& doing) {
  return tl::unexpected<Error>(Error{error.code, doing + ": " + error.message});
}

}  // namespace dhrt
