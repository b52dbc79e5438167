#include "protocol/http_answer.h"

#include <algorithm>
#include <llhttp.h>
#include <utility>

namespace dhrt::http {

namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

Bytes Answer::header(Bytes lower_case_name) const {
  const auto found =
      std::ranges::find(headers, lower_case_name, [](const auto& h) { return Bytes(h.first); });
  return found == headers.end() ? Bytes() : Bytes(found->second);
}

struct AnswerParser::State {
  explicit State(std::size_t body_max) : body_bytes_max(body_max) {
    llhttp_init(&machine, HTTP_RESPONSE, &settings());
    machine.data = this;
  }

  static const llhttp_settings_t& settings();
  static State& of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }
  int finish_head();
  int add_head(std::string& part, Bytes more);
  int add_body(Bytes more);
  int complete();
  tl::unexpected<Error> failure() const;
  int refuse(std::string why);
  Result<Answer> take();

  std::size_t body_bytes_max;
  llhttp_t machine{};
  Answer answer;
  std::size_t head_bytes = 0;  // Of names and values.
  bool name_complete = true;
  bool head_done = false;
  bool done = false;
  std::string error;
};

const llhttp_settings_t& AnswerParser::State::settings() {
  static const llhttp_settings_t table = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = [](llhttp_t* parser, const char* at, std::size_t length) {
      State& state = of(parser);
      if (state.head_done) return 0;  // Trailers are dropped.
      if (state.name_complete) state.answer.headers.emplace_back();
      state.name_complete = false;
      return state.add_head(state.answer.headers.back().first, Bytes(at, length));
    };
    s.on_header_field_complete = [](llhttp_t* parser) {
      of(parser).name_complete = true;
      return 0;
    };
    s.on_header_value = [](llhttp_t* parser, const char* at, std::size_t length) {
      State& state = of(parser);
      if (state.head_done || state.answer.headers.empty()) return 0;
      return state.add_head(state.answer.headers.back().second, Bytes(at, length));
    };
    s.on_headers_complete = [](llhttp_t* parser) { return of(parser).finish_head(); };
    s.on_body = [](llhttp_t* parser, const char* at, std::size_t length) {
      return of(parser).add_body(Bytes(at, length));
    };
    s.on_message_complete = [](llhttp_t* parser) { return of(parser).complete(); };
    return s;
  }();
  return table;
}

int AnswerParser::State::refuse(std::string why) {
  error = std::move(why);
  return -1;
}

int AnswerParser::State::finish_head() {
  machine.upgrade = 0;  // Nothing else is spoken here.
  answer.status = machine.status_code;
  if (answer.status < 200) return 0;  // Another one follows.
  head_done = true;
  answer.keep_alive = llhttp_should_keep_alive(&machine) != 0;
  for (auto& [name, value] : answer.headers)
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  return 0;
}

// Counted by what is kept, so that it makes no difference in which pieces the bytes arrive.
int AnswerParser::State::add_head(std::string& part, Bytes more) {
  constexpr std::size_t around = 4;
  head_bytes += more.size() + (part.empty() ? around : 0);
  if (head_bytes > head_bytes_max)
    return refuse("its head is longer than " + std::to_string(head_bytes_max) + " bytes");
  part += more;
  return 0;
}

int AnswerParser::State::add_body(Bytes more) {
  if (more.size() > body_bytes_max - answer.body.size())
    return refuse("the body is longer than " + std::to_string(body_bytes_max) + " bytes");
  answer.body += more;
  return 0;
}

int AnswerParser::State::complete() {
  if (!head_done) {
    answer = {};
    name_complete = true;
    return 0;
  }
  done = true;
  return static_cast<int>(HPE_PAUSED);
}

tl::unexpected<Error> AnswerParser::State::failure() const {
  return fail(ErrorCode::corrupt, "no HTTP answer that can be read: " + error);
}

Result<Answer> AnswerParser::State::take() {
  if (!done) return failure();
  return std::exchange(answer, {});
}

AnswerParser::AnswerParser(std::size_t body_bytes_max)
    : state_(std::make_unique<State>(body_bytes_max)) {}

AnswerParser::~AnswerParser() = default;

Result<std::optional<Answer>> AnswerParser::feed(Bytes input) {
  State& state = *state_;
  if (state.done) return std::optional<Answer>();
  if (!state.error.empty()) return state.failure();
  const llhttp_errno_t code = llhttp_execute(&state.machine, input.data(), input.size());
  if (state.done) {
    const auto taken =
        static_cast<std::size_t>(llhttp_get_error_pos(&state.machine) - input.data());
    if (taken != input.size()) state.answer.keep_alive = false;
    return std::optional<Answer>(std::exchange(state.answer, {}));
  }
  if (code == HPE_OK) return std::optional<Answer>();
  if (state.error.empty()) {
    const char* reason = llhttp_get_error_reason(&state.machine);
    state.error = reason != nullptr && *reason != 0 ? reason : "it is malformed";
  }
  return state.failure();
}

Result<Answer> AnswerParser::finish() {
  State& state = *state_;
  if (state.error.empty() && !state.done) {
    const llhttp_errno_t code = llhttp_finish(&state.machine);
    if (!state.done) state.error = code == HPE_OK ? "it is cut" : "it ends within";
    state.answer.keep_alive = false;
  }
  return state.take();
}

std::string percent_encoded(Bytes text) {
  constexpr Bytes digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

}  // namespace dhrt::http
