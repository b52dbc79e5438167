// Finds the end of an HTTP head (request line and headers) on its own, so that a head which the
// parser library reads in a doubtful way is refused: a CR alone, a NUL, a folded header.
//
// Here lines end in LF or CRLF (the library decides which it takes); the head ends with the first
// empty line behind the request line.
#pragma once

#include <cstddef>

#include "storage/base/bytes.h"

namespace dhrt::http {

class HeadScanner {
 public:
  struct Scanned {
    std::size_t length = 0;  // Up to the end of the head, or all, or up to the error.
    Bytes error;             // Static text; empty if all is well.
  };

  // Goes on where the last call ended.
  Scanned scan(Bytes input);
  bool ended() const { return ended_; }
  // Complete lines so far.
  std::size_t lines() const { return lines_; }

 private:
  // Empty if `c` may come here.
  Bytes objection(char c) const;

  char last_ = '\0';
  bool line_empty_ = true;
  bool ended_ = false;
  std::size_t lines_ = 0;
};

}  // namespace dhrt::http
