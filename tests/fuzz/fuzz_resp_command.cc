// A command is the same however it arrives, and a recognised one means the same.
#include <memory>

#include "protocol/fast_resp.h"
#include "protocol/resp_command.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;
using Read = resp::CommandReader::Read;

namespace {

constexpr ProtocolLimits limits{
    .value_bytes_max = 64, .line_bytes_max = 64, .arguments_max = 8, .header_bytes_max = 64};

std::string told(const Read& read) {
  std::string text(read.message);
  for (const Bytes word : read.words)
    text += std::to_string(word.size()) + ':' + std::string(word);
  return text + std::to_string(static_cast<int>(read.outcome)) + '\n';
}

// Everything that is read when the bytes come in two pieces.
std::string read_all(Bytes input, std::size_t split) {
  resp::CommandReader reader;
  std::string told_all;
  std::size_t used = 0;
  std::size_t come = split;
  for (;;) {
    const Read read = reader.read(input.substr(used, come - used), limits);
    check(read.consumed <= come - used, "only what has come is consumed");
    used += read.consumed;
    if (read.outcome != Read::Outcome::need_more) told_all += told(read);
    if (read.outcome == Read::Outcome::fatal) return told_all;
    if (read.outcome != Read::Outcome::need_more) continue;
    if (come == input.size()) return told_all;
    come = input.size();
  }
}

void check_recognised(Bytes input) {
  const auto batch = std::make_unique<FastBatch>();
  resp::recognise(input, {}, limits, *batch);
  std::size_t begin = 0;
  for (const FastCommand& command : *batch) {
    resp::CommandReader reader;
    const Read read = reader.read(input.substr(begin), limits);
    check(read.outcome == Read::Outcome::command, "what is recognised is a good command");
    check(read.consumed == command.end - begin, "as long");
    const bool sets = command.kind == FastCommand::Kind::set;
    check(read.words.size() == (sets ? 3U : 2U), "as many words");
    check(read.words[1] == command.key && (!sets || read.words[2] == command.value), "the same");
    begin = command.end;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check(read_all(input, fuzz::split_of(input)) == read_all(input, input.size()),
        "a split changes nothing");
  check_recognised(input);
  return 0;
}
