#include "protocol/fast_text.h"

#include <cstring>
#include <optional>

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

struct Words {
  std::array<Bytes, 3> at;
  std::size_t count = 0;
};

// Absent: there are more words, or some are not plain, or there is more than a space between.
std::optional<Words> split(Bytes rest, std::size_t most) {
  Words words;
  while (words.count < most) {
    const std::size_t space = rest.find(' ');
    const Bytes word = rest.substr(0, space);
    if (!is_plain(word)) return std::nullopt;
    words.at[words.count++] = word;
    if (space == Bytes::npos) return words;
    rest.remove_prefix(space + 1);
  }
  return std::nullopt;
}

// `line` is without its end.
std::optional<FastCommand> recognise_line(Bytes line) {
  if (line.size() <= name_bytes) return std::nullopt;
  FastCommand command{};
  const bool sets = is_command(line.data(), "set ");
  if (!sets && !is_command(line.data(), "get ")) return std::nullopt;
  command.kind = sets ? FastCommand::Kind::set : FastCommand::Kind::get;
  const auto words = split(line.substr(name_bytes), sets ? 3 : 2);
  if (!words || (sets && words->count < 2)) return std::nullopt;
  std::size_t at = 0;
  if (words->count == (sets ? 3 : 2)) command.collection = words->at[at++];
  command.key = words->at[at++];
  if (sets) command.value = words->at[at];
  return command;
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
    auto command = recognise_line(line);
    if (!command) return;
    command->end = begin = end + 1;
    batch.add(*command);
  }
}

}  // namespace dhrt::text
