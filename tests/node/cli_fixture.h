// Runs the program inside a test: words in, exit code and both outputs out.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "node/cli.h"
#include "node/exit_code.h"

namespace dhrt::test {

struct Ran {
  int code = -1;
  std::string out;
  std::string error;
  std::vector<NodeOptions> started;  // What the node would have been run with.
};

struct Shell {
  std::map<std::string, std::string> variables = {};
  std::string input = {};
  bool error_is_terminal = false;
  Duration look_costs{};  // So much later is it with each look at the clock; 0: the true time.

  Ran run(const std::vector<std::string>& words) const {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream error;
    Console console{.in = in,
                    .out = out,
                    .error = error,
                    .error_is_terminal = error_is_terminal,
                    .environment = [this](const std::string& name) -> std::optional<std::string> {
                      const auto found = variables.find(name);
                      if (found == variables.end()) return std::nullopt;
                      return found->second;
                    }};
    if (look_costs.count() > 0)
      console.now = [this, now = Time{}]() mutable { return now = now + look_costs; };
    Ran ran;
    ran.code = run_cli(words, console, [&](const NodeOptions& options) {
      ran.started.push_back(options);
      return 42;
    });
    ran.out = out.str();
    ran.error = error.str();
    return ran;
  }
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace dhrt::test
