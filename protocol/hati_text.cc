#include "protocol/hati_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "storage/record.h"

namespace dhrt::hati {

namespace {

// Far beyond any use, and short enough to be added to any time.
constexpr std::int64_t ttl_milliseconds_max = std::int64_t{1} << 47;

struct Form {
  Bytes word;
  Verb verb;
  std::size_t words;  // Behind the verb.
};
constexpr std::array forms{Form{"SET", Verb::set, 4},     Form{"GET", Verb::get, 2},
                           Form{"HAS", Verb::has, 2},     Form{"DELETE", Verb::remove, 2},
                           Form{"COUNT", Verb::count, 1}, Form{"STATS", Verb::stats, 0},
                           Form{"AUTH", Verb::auth, 1},   Form{"FLUSHALL", Verb::flush_all, 1}};

// The word at the front of `rest`, which begins behind it and its space afterwards. Absent: the
// line is over.
std::optional<Bytes> take_word(std::optional<Bytes>& rest) {
  if (!rest) return std::nullopt;
  const std::size_t end = rest->find(' ');
  const Bytes word = rest->substr(0, end);
  rest = end == Bytes::npos ? std::nullopt : std::optional(rest->substr(end + 1));
  return word;
}

Bytes trimmed(Bytes line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(begin);
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

bool is_good(Bytes part, std::size_t bytes_max) {
  return !part.empty() && part.size() <= bytes_max;
}

// All words of a form but the last, which is the rest of the line.
std::optional<std::array<Bytes, 4>> words_of(std::optional<Bytes> rest, std::size_t count) {
  std::array<Bytes, 4> words;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    const auto word = take_word(rest);
    if (!word) return std::nullopt;
    words[i] = *word;
  }
  if (rest.has_value() != (count > 0)) return std::nullopt;
  if (rest) words[count - 1] = *rest;
  return words;
}

}  // namespace

std::uint64_t ttl_of(Bytes text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t ttl = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), ttl);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || ttl < 0) return 0;
  return static_cast<std::uint64_t>(std::min(ttl, ttl_milliseconds_max));
}

Request parse_request(Bytes line, const ProtocolLimits& limits) {
  std::optional<Bytes> rest = trimmed(line);
  const Bytes word = *take_word(rest);
  const auto* form = std::ranges::find(forms, word, &Form::word);
  if (form == forms.end()) return {};
  const auto words = words_of(rest, form->words);
  if (!words) return {};
  Request request{.verb = form->verb};
  const Bytes last = form->words == 0 ? Bytes() : (*words)[form->words - 1];
  // Only a value may hold blanks.
  if (request.verb != Verb::set && last.find(' ') != Bytes::npos) return {};
  switch (request.verb) {
    case Verb::set:
      request.ttl_milliseconds = ttl_of((*words)[1]);
      request.key = (*words)[2];
      request.value = last;
      if (!is_good(request.value, limits.value_bytes_max)) return {};
      break;
    case Verb::get:
    case Verb::has:
    case Verb::remove:
      request.key = last;
      break;
    case Verb::auth:
      request.value = last;
      return request.value.empty() ? Request() : request;
    case Verb::stats:
      return request;
    case Verb::none:
    case Verb::count:
    case Verb::flush_all:
      request.type = last;
      return request;
  }
  request.type = (*words)[0];
  return is_good(request.key, key_bytes_max) ? request : Request();
}

bool only_reads(Verb verb) {
  return verb == Verb::get || verb == Verb::has || verb == Verb::count || verb == Verb::stats;
}

LineReader::Read LineReader::read(Bytes input, const ProtocolLimits& limits) {
  const std::size_t line_max = limits.line_bytes_max + limits.value_bytes_max;
  const std::size_t end = input.find('\n', searched_);
  if (end != Bytes::npos) {
    searched_ = 0;
    if (std::exchange(dropping_, false)) {
      Read next = read(input.substr(end + 1), limits);
      next.consumed += end + 1;
      return next;
    }
    const bool drops = end > line_max;
    return {.consumed = end + 1,
            .complete = true,
            .request = drops ? Request() : parse_request(input.substr(0, end), limits)};
  }
  const bool goes_on = dropping_;
  dropping_ = dropping_ || input.size() > line_max;
  searched_ = dropping_ ? 0 : input.size();
  // Who sends too much may never end the line, and is not to wait for ever.
  return {.consumed = dropping_ ? input.size() : 0, .complete = dropping_ && !goes_on};
}

void append_line(std::string& out, Bytes text) {
  out += text;
  out += '\n';
}

void append_count(std::string& out, std::uint64_t count) {
  append_line(out, std::to_string(count));
}

}  // namespace dhrt::hati
