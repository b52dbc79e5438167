#include "protocol/fast_text.h"

#include <cstring>

namespace dhrt::text {

namespace {

// Name and space: "get ".
constexpr std::size_t name_bytes = 4;

// The front of a line as a number. The bit makes letters lower case, and keeps a space.
std::uint32_t name_of(const char* line) {
  std::uint32_t name = 0;
  std::memcpy(&name, line, name_bytes);
  return name | 0x20202020U;
}

// Zero would become a space, too.
bool is_command(const char* line, const char* name) {
  return name_of(line) == name_of(name) && line[name_bytes - 1] == ' ';
}

// A token that stands for itself: no quote opens at its start, and it is no flag.
bool is_plain(Bytes token) {
  return !token.empty() && token.front() != '"' && !token.starts_with("--");
}

// Takes the word at the front and the space behind it; false: it does not stand for itself.
bool take_word(Bytes& rest, Bytes& word) {
  const std::size_t space = rest.find(' ');
  word = rest.substr(0, space);
  rest.remove_prefix(space == Bytes::npos ? rest.size() : space + 1);
  // A space at the end has an empty word behind it.
  return is_plain(word) && (space == Bytes::npos || !rest.empty());
}

// `line` is without its end.
bool recognise_line(Bytes line, FastCommand& command) {
  if (line.size() <= name_bytes) return false;
  const bool sets = is_command(line.data(), "set ");
  if (!sets && !is_command(line.data(), "get ")) return false;
  command.kind = sets ? FastCommand::Kind::set : FastCommand::Kind::get;
  command.collection = {};
  Bytes rest = line.substr(name_bytes);
  if (!take_word(rest, command.key)) return false;
  if (sets && !take_word(rest, command.value)) return false;
  if (rest.empty()) return true;
  // One word more: the first was the collection.
  command.collection = command.key;
  if (sets) command.key = command.value;
  return take_word(rest, sets ? command.value : command.key) && rest.empty();
}

}  // namespace

void recognise(Bytes input, const ProtocolLimits& limits, FastBatch& batch) {
  std::size_t begin = 0;
  while (!batch.full()) {
    const std::size_t end = input.find('\n', begin);
    if (end == Bytes::npos) return;
    Bytes line = input.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > limits.line_bytes_max) return;
    if (!recognise_line(line, batch.next())) return;
    batch.next().end = begin = end + 1;
    batch.add();
  }
}

}  // namespace dhrt::text
