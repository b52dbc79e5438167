// LCS: what two values have in common, in order.
#include <algorithm>
#include <vector>

#include "node/redis_call.h"
#include "node/redis_commands.h"

namespace dhrt::redis {

namespace {

// The table has a cell for every pair of bytes: some 20 ms and 64 MB, for which all clients of the
// loop wait.
constexpr std::size_t cells_max = std::size_t{1} << 24;

struct LcsOptions {
  bool only_length = false;
  bool with_ranges = false;
  bool with_lengths = false;
  std::int64_t length_min = 0;
};

// Absent: the call has failed.
std::optional<LcsOptions> read_options(RedisCall& call) {
  LcsOptions options;
  for (std::size_t at = 3; at < call.count(); ++at) {
    const Bytes word = call.word(at);
    if (is_word(word, "idx")) {
      options.with_ranges = true;
    } else if (is_word(word, "len")) {
      options.only_length = true;
    } else if (is_word(word, "withmatchlen")) {
      options.with_lengths = true;
    } else if (is_word(word, "minmatchlen") && at + 1 < call.count()) {
      const auto length = call.integer(call.word(++at));
      if (!length) return std::nullopt;
      options.length_min = std::max<std::int64_t>(*length, 0);
    } else {
      call.syntax_error();
      return std::nullopt;
    }
  }
  if (!options.with_ranges || !options.only_length) return options;
  call.fail("ERR If you want both the length and indexes, please just use IDX.");
  return std::nullopt;
}

// Bytes that follow each other in both values.
struct Run {
  std::size_t in_left;  // The first of them.
  std::size_t in_right;
  std::size_t length;
};

class Common {
 public:
  Common(Bytes left, Bytes right)
      : left_(left),
        right_(right),
        columns_(right.size() + 1),
        cells_((left.size() + 1) * columns_) {
    for (std::size_t i = 1; i <= left.size(); ++i) {
      for (std::size_t j = 1; j <= right.size(); ++j) {
        cell(i, j) = left[i - 1] == right[j - 1] ? cell(i - 1, j - 1) + 1
                                                 : std::max(cell(i - 1, j), cell(i, j - 1));
      }
    }
  }

  std::size_t length() const { return cells_.back(); }

  // From the end of both values to their beginning, as Redis lists them. Where two ways are as
  // long, the one that leaves out a byte of the right value first.
  std::vector<Run> runs() const {
    std::vector<Run> runs;
    bool goes_on = false;
    for (std::size_t i = left_.size(), j = right_.size(); i > 0 && j > 0;) {
      if (left_[i - 1] == right_[j - 1]) {
        if (!goes_on) runs.push_back({.in_left = i, .in_right = j, .length = 0});
        goes_on = true;
        runs.back() = {--i, --j, runs.back().length + 1};
        continue;
      }
      goes_on = false;
      (cell(i - 1, j) > cell(i, j - 1) ? i : j) -= 1;
    }
    return runs;
  }

 private:
  std::uint32_t& cell(std::size_t i, std::size_t j) { return cells_[i * columns_ + j]; }
  std::uint32_t cell(std::size_t i, std::size_t j) const { return cells_[i * columns_ + j]; }

  Bytes left_;
  Bytes right_;
  std::size_t columns_;
  std::vector<std::uint32_t> cells_;
};

void write_range(resp::Writer& reply, std::size_t first, std::size_t length) {
  reply.array(2);
  reply.integer(static_cast<std::int64_t>(first));
  reply.integer(static_cast<std::int64_t>(first + length - 1));
}

void write_runs(RedisCall& call, const Common& common, const LcsOptions& options) {
  std::vector<Run> runs = common.runs();
  std::erase_if(runs, [&](const Run& run) {
    return static_cast<std::int64_t>(run.length) < options.length_min;
  });
  call.reply().map(2);
  call.reply().bulk("matches");
  call.reply().array(runs.size());
  for (const Run& run : runs) {
    call.reply().array(options.with_lengths ? 3 : 2);
    write_range(call.reply(), run.in_left, run.length);
    write_range(call.reply(), run.in_right, run.length);
    if (options.with_lengths) call.reply().integer(static_cast<std::int64_t>(run.length));
  }
  call.reply().bulk("len");
  call.reply().integer(static_cast<std::int64_t>(common.length()));
}

void write_bytes(RedisCall& call, const Common& common, Bytes left) {
  std::string bytes;
  std::vector<Run> runs = common.runs();
  std::ranges::reverse(runs);
  for (const Run& run : runs)
    bytes += left.substr(run.in_left, run.length);
  call.reply().bulk(bytes);
}

}  // namespace

// LCS key key [LEN] [IDX] [MINMATCHLEN number] [WITHMATCHLEN]
void longest_common(RedisCall& call) {
  const auto options = read_options(call);
  if (!options) return;
  std::string values[2];
  for (std::size_t i = 0; i < 2; ++i) {
    call.read(call.word(1 + i), [&](const RecordView* held) {
      if (held != nullptr) values[i] = held->value;
    });
  }
  if (call.failed() || !call.unknown().empty()) return;
  const auto& [left, right] = values;
  if ((left.size() + 1) * (right.size() + 1) > cells_max)
    return call.fail("ERR LCS of " + std::to_string(left.size()) + " and " +
                     std::to_string(right.size()) +
                     " bytes would hold up other clients; their product is at most " +
                     std::to_string(cells_max));
  const Common common(left, right);
  call.client().changed_bytes += left.size() * right.size() / 4;
  if (options->only_length) return call.reply().integer(static_cast<std::int64_t>(common.length()));
  if (options->with_ranges) return write_runs(call, common, *options);
  write_bytes(call, common, left);
}

}  // namespace dhrt::redis
