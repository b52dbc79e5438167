#include "protocol/hermod.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace dhrt::hermod {

namespace {

constexpr Bytes auth_word = "auth:";
constexpr Bytes end = "\4";
constexpr std::uint64_t nanoseconds_max = 999'999'999'999;  // As many as have a place.

Bytes without_blanks(Bytes text) {
  constexpr Bytes blanks = " \r\n";
  const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

Bytes without_quotes(Bytes text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// No table holds blanks.
bool is_word(Bytes text) {
  return !text.empty() && text.find_first_of(" \r\n") == Bytes::npos;
}

// key "from" table
Request parse_from(Bytes rest, Verb verb) {
  constexpr Bytes from = " from ";
  const std::size_t at = rest.rfind(from);
  if (at == Bytes::npos || at == 0) return {};
  const Bytes table = without_blanks(rest.substr(at + from.size()));
  if (!is_word(table)) return {};
  return {.verb = verb, .key = rest.substr(0, at), .table = table};
}

// key "in" table "to" data
Request parse_set(Bytes rest) {
  constexpr Bytes in = " in ";
  constexpr Bytes to = " to ";
  for (std::size_t at = rest.find(in); at != Bytes::npos; at = rest.find(in, at + 1)) {
    const Bytes behind = rest.substr(at + in.size());
    const std::size_t blank = std::min(behind.find(' '), behind.size());
    if (at == 0 || blank == 0 || !behind.substr(blank).starts_with(to)) continue;
    return {.verb = Verb::set,
            .key = rest.substr(0, at),
            .table = behind.substr(0, blank),
            .data = behind.substr(blank + to.size())};
  }
  return {};
}

struct SuperForm {
  Bytes word;
  Verb verb;
};
constexpr std::array super_forms{SuperForm{"getlen ", Verb::table_length},
                                 SuperForm{"create ", Verb::create_table},
                                 SuperForm{"delete ", Verb::delete_table}};

Request parse_super(Bytes rest) {
  if (without_blanks(rest) == "gettab") return {.verb = Verb::list_tables};
  for (const SuperForm& form : super_forms) {
    if (!rest.starts_with(form.word)) continue;
    const Bytes table = without_blanks(rest.substr(form.word.size()));
    if (is_word(table)) return {.verb = form.verb, .table = table};
  }
  return {.verb = Verb::bad_super};
}

bool take_word(Bytes& text, Bytes word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

char end_of(Terminator terminator) {
  switch (terminator) {
    case Terminator::byte_17:
      return '\x11';
    case Terminator::byte_23:
      return '\x17';
    case Terminator::manual:
    case Terminator::byte_4:
      break;
  }
  return '\4';
}

}  // namespace

Request parse_request(Bytes message) {
  if (take_word(message, "get ")) return parse_from(message, Verb::get);
  if (take_word(message, "del ")) return parse_from(message, Verb::remove);
  if (take_word(message, "set ")) return parse_set(message);
  if (take_word(message, "sup ") || message == "sup") return parse_super(message);
  if (without_blanks(message) == "ext") return {.verb = Verb::leave};
  return {};
}

Reader::Read Reader::read(Bytes input, const ProtocolLimits& limits) {
  std::size_t skipped = 0;
  if (skips_end_ && !input.empty()) {
    skips_end_ = false;
    skipped = input.starts_with(end) ? 1 : 0;
    input.remove_prefix(skipped);
  }
  Read read = greeted_ ? read_message(input, end, limits.line_bytes_max + limits.value_bytes_max)
                       : read_greeting(input, limits);
  read.consumed += skipped;
  return read;
}

Reader::Read Reader::read_greeting(Bytes input, const ProtocolLimits& limits) {
  if (!dropping_ && !input.starts_with(auth_word)) {
    if (auth_word.starts_with(input)) return {};  // It may become one.
    const bool is_line = input.starts_with('\n');
    const std::size_t message_end = input.find(end, searched_);
    searched_ = input.size();
    if (!is_line && message_end == Bytes::npos && input.size() <= limits.line_bytes_max) return {};
    searched_ = 0;
    greeted_ = true;
    skips_end_ = is_line;
    return {.outcome = Read::Outcome::greeting,
            .consumed = is_line ? std::size_t{1} : 0,
            .api = is_line ? Api::v0_3 : Api::v0_4};
  }
  Read read = read_message(input, "\n\4", limits.line_bytes_max);
  if (read.outcome == Read::Outcome::need_more) return read;
  greeted_ = true;
  const bool is_line = input[read.consumed - 1] == '\n';
  skips_end_ = is_line;
  read.api = is_line ? Api::v0_3 : Api::v0_4;
  if (read.outcome == Read::Outcome::message)
    read.token = without_quotes(without_blanks(read.message.substr(auth_word.size())));
  read.outcome = Read::Outcome::greeting;
  read.message = {};
  return read;
}

Reader::Read Reader::read_message(Bytes input, Bytes ends, std::size_t bytes_max) {
  const std::size_t at = input.find_first_of(ends, searched_);
  if (at == Bytes::npos) {
    dropping_ = dropping_ || input.size() > bytes_max;
    searched_ = dropping_ ? 0 : input.size();
    return {.consumed = dropping_ ? input.size() : 0};
  }
  searched_ = 0;
  const bool drops = std::exchange(dropping_, false) || at > bytes_max;
  if (drops) return {.outcome = Read::Outcome::too_long, .consumed = at + 1};
  return {.outcome = Read::Outcome::message, .consumed = at + 1, .message = input.substr(0, at)};
}

// Clients look for the version of the API at a fixed place, so all of them have five characters.
void append_greeting(std::string& out, Api api, bool authorised) {
  out += "Hermod - Connection established (v1.0.0, ";
  out += api == Api::v0_3 ? "v0.3.0, " : "v0.4.0, ";
  out += authorised ? "Auth)" : "noAuth)";
  if (api == Api::v0_4) out += end;
}

void append_reply(std::string& out, Bytes data, const Tail& tail, Terminator terminator) {
  std::array<char, 32> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "{%12llu %3u}",
                    static_cast<unsigned long long>(std::min(tail.nanoseconds, nanoseconds_max)),
                    std::min(tail.code, 999U));
  out.append(data).append(text.data(), static_cast<std::size_t>(length));
  out += end_of(terminator);
}

void append_value_reply(std::string& out, Bytes value, const Tail& tail, Terminator terminator) {
  out += value;
  append_reply(out, terminator == Terminator::manual ? Bytes() : end, tail, terminator);
}

Bytes farewell(Api api) {
  return api == Api::v0_3 ? Bytes("\nDropping the connection to Hermod...")
                          : Bytes("\nDropping the connection. Goodbye...");
}

}  // namespace dhrt::hermod
