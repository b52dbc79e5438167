#include "protocol/http.h"

#include <algorithm>
#include <array>
#include <llhttp.h>

#include "protocol/http_head.h"

namespace dhrt::http {

namespace {

void to_lower(std::string& text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
}

std::string lower(Bytes text) {
  std::string out(text);
  to_lower(out);
  return out;
}

ParseError bad_request(std::string message) {
  return {400, std::move(message)};
}

std::ptrdiff_t count_of(const Request& request, Bytes name) {
  return std::ranges::count(request.headers, name, [](const Header& h) { return Bytes(h.first); });
}

// RFC 9112 section 6: how long the body is must be beyond doubt.
std::optional<ParseError> check_framing(const Request& request) {
  const auto encodings = count_of(request, "transfer-encoding");
  if (encodings == 0) return {};
  if (count_of(request, "content-length") > 0)
    return bad_request("both Content-Length and Transfer-Encoding; send one of them");
  if (request.version_minor == 0)
    return bad_request("Transfer-Encoding in HTTP/1.0; send Content-Length or HTTP/1.1");
  const Bytes coding = request.header("transfer-encoding");
  if (encodings > 1 || lower(coding) != "chunked")
    return ParseError{501, "Transfer-Encoding '" + std::string(coding.substr(0, 64)) +
                               "' is not implemented; only chunked is"};
  return {};
}

std::optional<ParseError> check_host(const Request& request) {
  const auto hosts = count_of(request, "host");
  if (hosts > 1) return bad_request("more than one Host header");
  if (hosts == 0 && request.version_minor == 1)
    return bad_request("no Host header, which HTTP/1.1 requires");
  return {};
}

// RFC 9112 section 3.2: splits the target; an absolute one overrides the Host header.
std::optional<ParseError> split_target(Request& request) {
  Bytes target = request.target;
  const std::size_t scheme_end = target.find("://");
  if (!target.starts_with('/') && scheme_end != Bytes::npos && request.method != "CONNECT") {
    const std::string scheme = lower(target.substr(0, scheme_end));
    if (scheme != "http" && scheme != "https")
      return bad_request("scheme '" + scheme.substr(0, 32) + "' of the target is unknown");
    target.remove_prefix(scheme_end + 3);
    const std::size_t host_end = std::min(target.find_first_of("/?"), target.size());
    const std::string host(target.substr(0, host_end));
    if (host.empty()) return bad_request("the absolute target names no host");
    for (Header& header : request.headers)
      if (header.first == "host") header.second = host;
    std::string rest(target.substr(host_end));
    request.target = rest.starts_with('/') ? std::move(rest) : "/" + rest;
  } else if (!target.starts_with('/') && request.method != "CONNECT" &&
             !(target == "*" && request.method == "OPTIONS")) {
    return bad_request("target '" + std::string(target.substr(0, 64)) +
                       "' is no path; begin it with '/'");
  }
  const std::size_t question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  return {};
}

}  // namespace

Bytes Request::header(Bytes lower_case_name) const {
  const auto found =
      std::ranges::find(headers, lower_case_name, [](const Header& h) { return Bytes(h.first); });
  return found == headers.end() ? Bytes() : Bytes(found->second);
}

std::string Request::list(Bytes lower_case_name) const {
  std::string joined;
  for (const Header& header : headers) {
    if (header.first != lower_case_name) continue;
    if (!joined.empty()) joined += ", ";
    joined += header.second;
  }
  return joined;
}

struct Parser::State {
  explicit State(const ProtocolLimits& limits_of_client) : limits(limits_of_client) {
    llhttp_init(&machine, HTTP_REQUEST, &settings());
    machine.data = this;
  }

  static const llhttp_settings_t& settings();
  static State& of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }

  // Every step gives how many bytes it took.
  std::size_t take_head(Bytes input);
  std::size_t take_body(Bytes input);
  std::size_t execute(Bytes input);
  int check_version();
  int finish_name();
  int finish_head();
  int add_body(Bytes bytes);
  ParseError explain(llhttp_errno_t code) const;
  ParseError body_too_large() const;
  std::optional<ParseError> check_length(std::uint64_t bytes);
  bool framing_too_long(std::size_t taken) const;
  ParseError framing_error() const;
  void begin_next();

  ProtocolLimits limits;
  llhttp_t machine{};
  Request request;
  HeadScanner scanner;
  std::uint64_t number = 0;  // Of the request, from 0.
  std::size_t head_bytes = 0;
  std::size_t body_phase_bytes = 0;  // Body and chunk framing.
  std::size_t body_end = 0;          // Of body_phase_bytes, behind the last byte of the body.
  const char* body_input = nullptr;  // Of the call of take_body() under way.
  WhyNotMore why_not_more;
  WhyNotMore why_not_expected;
  bool may_send_more = false;  // That has nothing against this request.
  bool body_refused = false;
  bool started = false;       // A byte of a request has come.
  bool method_like = false;   // The first byte is an upper-case letter.
  bool name_complete = true;  // The next header name begins a new header.
  bool head_done = false;
  bool complete = false;
  bool closed = false;  // The last request said that none follows.
  bool wants_continue = false;
  std::optional<ParseError> error;
};

const llhttp_settings_t& Parser::State::settings() {
  static const llhttp_settings_t table = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* parser, const char* at, std::size_t length) {
      of(parser).request.target.append(at, length);
      return 0;
    };
    s.on_version_complete = [](llhttp_t* parser) { return of(parser).check_version(); };
    s.on_header_field = [](llhttp_t* parser, const char* at, std::size_t length) {
      State& state = of(parser);
      if (state.head_done) return 0;  // Trailers are dropped.
      if (state.name_complete) state.request.headers.emplace_back();
      state.name_complete = false;
      state.request.headers.back().first.append(at, length);
      return 0;
    };
    s.on_header_field_complete = [](llhttp_t* parser) { return of(parser).finish_name(); };
    s.on_header_value = [](llhttp_t* parser, const char* at, std::size_t length) {
      State& state = of(parser);
      if (!state.head_done) state.request.headers.back().second.append(at, length);
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* parser) { return of(parser).finish_head(); };
    s.on_body = [](llhttp_t* parser, const char* at, std::size_t length) {
      return of(parser).add_body(Bytes(at, length));
    };
    s.on_message_complete = [](llhttp_t* parser) {
      of(parser).complete = true;
      return static_cast<int>(HPE_PAUSED);  // One request at a time.
    };
    return s;
  }();
  return table;
}

int Parser::State::check_version() {
  if (machine.http_major == 1 && machine.http_minor <= 1) return 0;
  error = explain(HPE_INVALID_VERSION);
  return -1;
}

int Parser::State::finish_name() {
  name_complete = true;
  if (head_done || (!request.headers.empty() && !request.headers.back().first.empty())) return 0;
  error = bad_request("a header without a name");
  return -1;
}

int Parser::State::finish_head() {
  // Upgrades and CONNECT are ordinary requests here, with an ordinary body.
  machine.upgrade = 0;
  head_done = true;
  if (check_version() != 0) return -1;  // An HTTP/0.9 request line has none to complete.
  request.method = llhttp_method_name(static_cast<llhttp_method_t>(machine.method));
  request.version_minor = machine.http_minor;
  request.keep_alive = llhttp_should_keep_alive(&machine) != 0;
  for (Header& header : request.headers) {
    to_lower(header.first);
    header.second = trim(header.second);
  }
  error = check_framing(request);
  if (!error) error = check_host(request);
  if (!error) error = split_target(request);
  const bool chunked = count_of(request, "transfer-encoding") > 0;
  if (!error && !chunked) error = check_length(machine.content_length);
  wants_continue = !error && request.version_minor == 1 &&
                   (chunked || machine.content_length > 0) &&
                   lower(request.header("expect")) == "100-continue";
  if (wants_continue && why_not_expected) error = why_not_expected(request);
  return error ? -1 : 0;
}

// `taken`: bytes since the head. Counted from the last byte of the body, so that it makes no
// difference in which pieces the bytes arrive.
bool Parser::State::framing_too_long(std::size_t taken) const {
  return taken - body_end > limits.header_bytes_max;
}

ParseError Parser::State::framing_error() const {
  return {431, "a chunk extension or the trailers are longer than " +
                   std::to_string(limits.header_bytes_max) + " bytes"};
}

int Parser::State::add_body(Bytes bytes) {
  const std::size_t begin = body_phase_bytes + static_cast<std::size_t>(bytes.data() - body_input);
  if (framing_too_long(begin))
    error = framing_error();
  else
    error = check_length(request.body.size() + bytes.size());
  body_refused = error.has_value();
  if (body_refused) return -1;
  body_end = begin + bytes.size();
  request.body += bytes;
  return 0;
}

std::optional<ParseError> Parser::State::check_length(std::uint64_t bytes) {
  if (why_not_more && !may_send_more && bytes > bytes_before_token_max) {
    if (auto why = why_not_more(request)) return why;  // Which ends the connection.
    may_send_more = true;
  }
  if (bytes > limits.value_bytes_max) return body_too_large();
  return std::nullopt;
}

ParseError Parser::State::body_too_large() const {
  return {413, "body is longer than " + std::to_string(limits.value_bytes_max) +
                   " bytes; raise --max-value-bytes"};
}

ParseError Parser::State::explain(llhttp_errno_t code) const {
  switch (code) {
    case HPE_INVALID_VERSION:
      return {505, "HTTP version is not served; use HTTP/1.1 or HTTP/1.0"};
    case HPE_INVALID_METHOD:
      if (method_like) return {501, "method is unknown"};
      return bad_request("no HTTP request: a method is upper-case");
    case HPE_INVALID_TRANSFER_ENCODING:
      if (count_of(request, "content-length") == 0 && count_of(request, "Content-Length") == 0)
        return {501, "Transfer-Encoding is not implemented; only chunked is"};
      return bad_request("both Content-Length and Transfer-Encoding; send one of them");
    default:
      break;
  }
  const char* reason = llhttp_get_error_reason(&machine);
  return bad_request("malformed request: " + std::string(reason != nullptr ? reason : "unknown"));
}

std::size_t Parser::State::execute(Bytes input) {
  const llhttp_errno_t code = llhttp_execute(&machine, input.data(), input.size());
  if (code == HPE_OK) return input.size();
  if (!complete && !error) error = explain(code);
  return static_cast<std::size_t>(llhttp_get_error_pos(&machine) - input.data());
}

std::size_t Parser::State::take_head(Bytes input) {
  const Bytes window = input.substr(0, limits.header_bytes_max - head_bytes);
  if (window.empty()) {
    const std::string limit = std::to_string(limits.header_bytes_max) + " bytes";
    error = scanner.lines() == 0
                ? ParseError{414, "request line is longer than " + limit + "; shorten the target"}
                : ParseError{431, "headers are longer than " + limit + "; send fewer or shorter"};
    return 0;
  }
  const auto scanned = scanner.scan(window);
  const std::size_t taken = execute(window.substr(0, scanned.length));
  head_bytes += taken;
  if (error) return taken;
  if (!scanned.error.empty())
    error = bad_request(std::string(scanned.error));
  else if (head_done != scanner.ended() || taken != scanned.length)
    error = bad_request("malformed request: the end of its headers is in doubt");
  return taken;
}

std::size_t Parser::State::take_body(Bytes input) {
  body_input = input.data();
  const std::size_t taken = execute(input);
  body_phase_bytes += taken;
  // Goes before what is malformed behind it.
  if (!body_refused && framing_too_long(body_phase_bytes)) error = framing_error();
  return taken;
}

void Parser::State::begin_next() {
  closed = !request.keep_alive;
  llhttp_init(&machine, HTTP_REQUEST, &settings());
  machine.data = this;
  ++number;
  request = {};
  may_send_more = false;
  scanner = {};
  head_bytes = body_phase_bytes = body_end = 0;
  started = head_done = complete = wants_continue = body_refused = false;
  name_complete = true;
}

Parser::Parser(const ProtocolLimits& limits) : state_(std::make_unique<State>(limits)) {}

Parser::~Parser() = default;

void Parser::ask_before_long_bodies(WhyNotMore why_not_more) {
  state_->why_not_more = std::move(why_not_more);
}

void Parser::ask_before_expected_bodies(WhyNotMore why_not) {
  state_->why_not_expected = std::move(why_not);
}

bool Parser::idle() const {
  return !state_->started;
}

std::optional<std::uint64_t> Parser::open_head() const {
  if (!state_->started || state_->head_done) return std::nullopt;
  return state_->number;
}

Fed Parser::feed(Bytes input) {
  State& state = *state_;
  Fed fed;
  if (state.closed) {
    fed.consumed = input.size();  // RFC 9112 section 9.6: not to be processed.
    return fed;
  }
  while (!state.error && !state.complete) {
    Bytes rest = input.substr(fed.consumed);
    if (!state.started) {
      const std::size_t blank = std::min(rest.find_first_not_of("\r\n"), rest.size());
      fed.consumed += blank;
      rest.remove_prefix(blank);
    }
    if (rest.empty()) break;
    if (!state.started) {
      state.started = true;
      state.method_like = rest.front() >= 'A' && rest.front() <= 'Z';
    }
    fed.consumed += state.head_done ? state.take_body(rest) : state.take_head(rest);
  }
  fed.error = state.error;
  if (fed.error) return fed;
  fed.wants_continue = std::exchange(state.wants_continue, false) && !state.complete;
  if (state.complete) {
    fed.request = std::move(state.request);
    state.request.keep_alive = fed.request->keep_alive;
    state.begin_next();
  }
  return fed;
}

Bytes trim(Bytes text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == Bytes::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

}  // namespace dhrt::http
