// What a command of the program talks to: its streams, its environment and the clock by which it
// shows progress. Tests give their own.
//
// Data goes to `out`, messages for a person to `error`; nothing else is printed.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "node/options.h"
#include "storage/base/system_clock.h"

namespace dhrt {

struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& error;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool error_is_terminal = false;
  Environment environment;
  std::function<Time()> now = monotonic_now;

  // https://no-color.org: any value but the empty one means no.
  bool has_colours() const {
    return out_is_terminal && environment("NO_COLOR").value_or("").empty();
  }
};

// Prints "dhrt: MESSAGE" on `error`.
void complain(Console& console, const std::string& message);

}  // namespace dhrt
