#include "protocol/http_head.h"

namespace dhrt::http {

Bytes HeadScanner::objection(char c) const {
  if (c == '\0') return "a zero byte in the head";
  if (last_ == '\r' && c != '\n') return "a carriage return without line feed in the head";
  if (last_ == '\n' && (c == ' ' || c == '\t'))
    return "a folded header, which is obsolete; put it on one line";
  return {};
}

HeadScanner::Scanned HeadScanner::scan(Bytes input) {
  for (std::size_t i = 0; i < input.size(); ++i) {
    const char c = input[i];
    if (const Bytes error = objection(c); !error.empty()) return {i, error};
    last_ = c;
    if (c == '\n') {
      if (line_empty_) {
        ended_ = true;
        return {i + 1, {}};
      }
      ++lines_;
      line_empty_ = true;
    } else if (c != '\r') {
      line_empty_ = false;
    }
  }
  return {input.size(), {}};
}

}  // namespace dhrt::http
