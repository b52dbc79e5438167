// How long the head of an HTTP request has been under way, by looks now and then.
//
// Who sends a head byte by byte is never silent, and asks for nothing either. Bodies, and pauses
// between requests, are not measured. Units: milliseconds. Threads: one.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/base/time.h"

namespace dhrt {

class HeadWatch {
 public:
  // What a client is told whose head is late.
  static constexpr const char* late =
      "the head of the request did not come in time; send it at once (--handshake-timeout)";

  // `head`: which request it is whose head is open, as http::Parser::open_head() has it. True: it
  // was the same at looks over more than `patience`. 0: no time passes, and nothing is late.
  bool is_late(std::optional<std::uint64_t> head, Time now, Duration patience) {
    if (head != seen_ || patience == Duration{}) since_ = now;
    seen_ = head;
    return head && now - since_ > patience;
  }

 private:
  std::optional<std::uint64_t> seen_;
  Time since_{};
};

}  // namespace dhrt
