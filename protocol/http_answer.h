// Answers of HTTP/1.1 servers by llhttp: bytes in, one answer out; for the node's own requests.
//
// feed() takes what arrived; the answer is there when it says so. finish() is for the end of the
// connection, which also ends an answer that told no length. Answers 1xx are passed over.
//
// Bounds: the head by head_bytes_max, the body by the caller, what stands around chunks by both.
// Errors: corrupt: no answer, or one beyond a bound. Threads: one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt::http {

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  bool keep_alive = false;  // The connection takes another request.

  // Empty if absent; the first one if there are several.
  Bytes header(Bytes lower_case_name) const;
};

class AnswerParser {
 public:
  static constexpr std::size_t head_bytes_max = std::size_t{16} << 10;

  explicit AnswerParser(std::size_t body_bytes_max);
  AnswerParser(const AnswerParser&) = delete;
  AnswerParser& operator=(const AnswerParser&) = delete;
  ~AnswerParser();

  // Absent: more is needed. After an answer or an error nothing more is read. What comes behind an
  // answer is no part of it: the connection is not to be used again (keep_alive is false then).
  Result<std::optional<Answer>> feed(Bytes input);
  Result<Answer> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Everything but letters, digits and -._~ as %XX.
std::string percent_encoded(Bytes text);

}  // namespace dhrt::http
