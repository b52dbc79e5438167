// Line editing on a terminal by libedit: history, completion on Tab, a hint at the right edge.
//
// Threads: one; one editor per process, as there is one terminal. Errors: none; a terminal that
// cannot be set up reads as the end of input.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/repl_words.h"

namespace dhrt {

struct EditorOptions {
  std::string prompt;
  bool colours = false;
  std::function<Completion(Bytes line)> complete;
  std::function<std::string(Bytes line)> hint;
};

class LineEditor {
 public:
  explicit LineEditor(EditorOptions options);
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  ~LineEditor();

  // Absent at the end of input. Ctrl-C gives an empty line.
  std::optional<std::string> read();
  void remember(const std::string& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dhrt
