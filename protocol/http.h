// HTTP/1.1 (RFC 9112) by llhttp: bytes in, requests out; responses as bytes.
//
// A parser serves one connection. feed() takes what arrived and says how much it used; when a
// request is complete it stops there, so pipelined requests come one by one. A request that
// is bad or over a limit gives an Error with the status to answer; the connection then closes.
//
// Refused because two servers could read them differently (request smuggling): a length told
// twice or beside Transfer-Encoding, folded headers, a CR alone, more than one Host.
// Bounds: the head by header_bytes_max, the body by value_bytes_max, chunk framing by both.
// Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/limits.h"
#include "storage/base/bytes.h"

namespace dhrt::http {

using Header = std::pair<std::string, std::string>;

struct Request {
  std::string method;           // As sent: "GET".
  std::string target;           // As sent; of an absolute form, scheme and host are removed.
  std::string path;             // Before '?', still encoded.
  std::string query;            // Behind '?', still encoded.
  std::vector<Header> headers;  // Names in lower case.
  std::string body;
  int version_minor = 1;
  bool keep_alive = true;  // The connection lives on after the response.

  // Empty if absent; the first one if there are several.
  Bytes header(Bytes lower_case_name) const;
  // Of a field that is a list: all of that name, as if they were one (RFC 9110, section 5.3).
  std::string list(Bytes lower_case_name) const;
};

struct ParseError {
  int status = 400;  // 400 413 414 431 501 505, or what those who are asked say
  std::string message;
};

struct Fed {
  std::size_t consumed = 0;
  std::optional<Request> request;
  std::optional<ParseError> error;
  // The client asked (Expect: 100-continue) and its body is welcome: send continue_line first.
  bool wants_continue = false;
};

class Parser {
 public:
  explicit Parser(const ProtocolLimits& limits);
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser();

  // Asked once of a request whose body is longer than bytes_before_token_max: why it is refused.
  using WhyNotMore = std::function<std::optional<ParseError>(const Request& head)>;
  void ask_before_long_bodies(WhyNotMore why_not_more);
  // Asked of a request that waits for word before it sends its body (Expect: 100-continue): why it
  // is refused whatever the body is.
  void ask_before_expected_bodies(WhyNotMore why_not);

  // After an error, and after a request that ends the connection, nothing more is read.
  Fed feed(Bytes input);
  // True between requests: nothing of a next one has arrived.
  bool idle() const;
  // Which request it is whose head has begun, counted from 0, while more of that head is to come.
  std::optional<std::uint64_t> open_head() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr Bytes continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

// Split on '/' first, each segment percent-decoded then; '+' is literal. "/a/" gives {"a", ""},
// "/" gives {""}. Absent: a %-escape is malformed.
std::optional<std::vector<std::string>> path_segments(Bytes path);
// A part of a field without the blanks and tabs around it (RFC 9110, section 5.6.3).
Bytes trim(Bytes text);
// key=value pairs in order; '+' is a space; a malformed escape stays literal.
std::vector<std::pair<std::string, std::string>> query_fields(Bytes query);

struct Response {
  int status = 200;
  std::string content_type = "application/json";  // Empty: no such header.
  std::vector<Header> headers;
  std::string body;
};

Bytes reason_phrase(int status);

// With Content-Length, and Connection where keep_alive and the version ask for it. No body for
// HEAD (its length is still told), 204 and 304. Line breaks in header values become spaces.
void append_response(std::string& out, const Response& response, const Request& request);
// The same head with Transfer-Encoding: chunked, for streamed lists. HTTP/1.0 knows no chunks:
// there the body lasts until the caller closes the connection.
void append_chunked_head(std::string& out, const Response& response, const Request& request);
void append_chunk(std::string& out, Bytes bytes, const Request& request);
void append_last_chunk(std::string& out, const Request& request);

}  // namespace dhrt::http
