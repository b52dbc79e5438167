#include <algorithm>
#include <array>
#include <charconv>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_cursors.h"
#include "protocol/glob.h"
#include "protocol/resp.h"
#include "protocol/resp_number.h"
#include "storage/base/random.h"
#include "storage/base/system_clock.h"

namespace dhrt::redis {

namespace {

// An array's head tells its length, so the whole reply is held until the last key is known.
constexpr std::size_t keys_max = 1048576;
// Longer patterns are refused: a key has half as many bytes.
constexpr std::size_t pattern_bytes_max = 1024;
// One piece of work of the loop, about a millisecond; with a pattern of the worst kind a hundred.
std::size_t keys_per_slice(Bytes pattern) {
  constexpr std::size_t short_bytes_max = 64;
  return pattern.size() <= short_bytes_max ? 2048 : 256;
}
constexpr std::int64_t scan_count_default = 10;

class KeysStream final : public ReplyStream {
 public:
  KeysStream(CommandServer& server, Bytes collection, Bytes pattern)
      : server_(server), collection_(collection), pattern_(pattern) {
    request_.prefix = glob_prefix(pattern);
    request_.with_values = false;
    request_.limits.records_max = keys_per_slice(pattern);
  }

  Next produce(std::string& out, Position&) override {
    Collection* collection = server_.database.find(collection_);
    if (collection == nullptr) return finish(out);
    request_.now = wall_now();
    auto slice = collection->scan(request_);
    if (!slice) return give_error(out, std::get<ReplyError>(to_reply(slice.error()).value).message);
    for (const KeyedRecord& entry : slice->records) {
      if (!glob_matches(pattern_, entry.key)) continue;
      resp::append_bulk(items_, entry.key);
      ++count_;
    }
    if (count_ > keys_max || items_.size() > server_.output_buffer_max / 2)
      return give_error(out, "ERR more keys match than one reply may hold (" +
                                 std::to_string(keys_max) +
                                 " keys, half of --output-buffer-max); use SCAN");
    if (!slice->next) return finish(out);
    request_.from = std::move(*slice->next);
    return Next::piece;
  }

 private:
  Next finish(std::string& out) const {
    resp::append_number_line(out, '*', static_cast<std::int64_t>(count_));
    out += items_;
    return Next::end;
  }
  Next give_error(std::string& out, const std::string& message) const {
    ++server_.figures.of(ClientDialect::resp).errors_total;
    resp::append_text_line(out, '-', message);
    return Next::end;
  }

  CommandServer& server_;
  std::string collection_;
  std::string pattern_;
  ScanRequest request_;
  std::string items_;
  std::size_t count_ = 0;
};

bool is_short(RedisCall& call, Bytes pattern) {
  if (pattern.size() <= pattern_bytes_max) return true;
  call.fail("ERR a pattern has at most " + std::to_string(pattern_bytes_max) + " bytes");
  return false;
}

struct ScanOptions {
  Bytes pattern = "*";
  std::int64_t count = scan_count_default;
  bool strings = true;  // TYPE names another type otherwise.
};

// Absent: the call has failed.
std::optional<ScanOptions> read_options(RedisCall& call) {
  ScanOptions options;
  for (std::size_t at = 2; at < call.count(); at += 2) {
    const Bytes name = call.word(at);
    const bool has_value = at + 1 < call.count();
    if (has_value && is_word(name, "match")) {
      options.pattern = call.word(at + 1);
    } else if (has_value && is_word(name, "type")) {
      options.strings = is_word(call.word(at + 1), "string");
    } else if (has_value && is_word(name, "count")) {
      const auto count = call.integer(call.word(at + 1));
      if (!count) return std::nullopt;
      if (*count < 1) {
        call.syntax_error();
        return std::nullopt;
      }
      options.count = *count;
    } else {
      call.syntax_error();
      return std::nullopt;
    }
  }
  return options;
}

// Where to begin. False: the call has failed.
bool find_start(RedisCall& call, std::string& from) {
  const Bytes text = call.word(1);
  std::uint64_t cursor = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, cursor);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    call.fail("ERR invalid cursor");
    return false;
  }
  if (cursor == 0) return true;
  auto place = call.server().cursors->find(cursor);
  if (!place || place->collection != call.collection()) {
    call.fail(
        "ERR invalid cursor: this node gave no such cursor for this database, or long ago; "
        "begin again with 0");
    return false;
  }
  from = std::move(place->key);
  return true;
}

void write_page(RedisCall& call, std::uint64_t cursor, const std::vector<KeyedRecord>& records,
                Bytes pattern) {
  const auto matches = [&](const KeyedRecord& entry) { return glob_matches(pattern, entry.key); };
  call.reply().array(2);
  call.reply().bulk(std::to_string(cursor));
  call.reply().array(static_cast<std::size_t>(std::ranges::count_if(records, matches)));
  for (const KeyedRecord& entry : records)
    if (matches(entry)) call.reply().bulk(entry.key);
}

}  // namespace

void keys(RedisCall& call) {
  if (!is_short(call, call.word(1))) return;
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  call.stream(std::make_unique<KeysStream>(call.server(), call.collection(), call.word(1)));
}

// SCAN cursor [MATCH pattern] [COUNT number] [TYPE type]: in the order of keys, so that a key that
// is there all the time comes exactly once.
void scan(RedisCall& call) {
  std::string from;
  if (!find_start(call, from)) return;
  const auto options = read_options(call);
  if (!options || !is_short(call, options->pattern)) return;
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  Collection* collection = call.database().find(call.collection());
  if (collection == nullptr || !options->strings) return write_page(call, 0, {}, "");
  const std::size_t wanted = std::min<std::uint64_t>(static_cast<std::uint64_t>(options->count),
                                                     keys_per_slice(options->pattern));
  auto slice = collection->scan({.from = std::move(from),
                                 .prefix = std::string(glob_prefix(options->pattern)),
                                 .with_values = false,
                                 .now = call.database().wall(),
                                 .limits = {.records_max = wanted}});
  if (!slice) return call.fail(slice.error());
  std::uint64_t next = 0;
  if (slice->next)
    next = call.server().cursors->give({std::string(call.collection()), std::move(*slice->next)});
  write_page(call, next, slice->records, options->pattern);
}

// --- RANDOMKEY ------------------------------------------------------------------------------

namespace {

// Bytes that may follow a prefix are looked for one by one; beyond this depth the first key is
// taken.
constexpr std::size_t random_depth_max = 64;
// Looks at the collection for one key; then the first of what is left is taken.
constexpr std::size_t random_looks_max = 256;

class RandomWalk {
 public:
  RandomWalk(Collection& collection, WallMilliseconds now, Random& random)
      : collection_(collection), now_(now), random_(random) {}

  // At every byte in which keys differ, each branch is as likely as any other.
  Result<std::optional<std::string>> run() {
    std::string prefix;
    auto key = first("", prefix);
    for (std::size_t depth = 0; key && *key && depth < random_depth_max; ++depth) {
      if (looks_ > random_looks_max) break;
      const auto branches = branches_below(prefix, **key);
      if (!branches) return tl::unexpected(branches.error());
      key = std::optional((*branches)[random_.below(branches->size())]);
      if ((*key)->size() == prefix.size()) return key;
      prefix = (*key)->substr(0, prefix.size() + 1);
      const auto second = first(**key + '\0', prefix);
      if (!second || !*second) return second ? key : second;
    }
    return key;
  }

 private:
  // The first key at or behind `from` that begins with `prefix`.
  Result<std::optional<std::string>> first(std::string from, const std::string& prefix) {
    ++looks_;
    auto slice = collection_.scan({.from = std::move(from),
                                   .prefix = prefix,
                                   .with_values = false,
                                   .now = now_,
                                   .limits = {.records_max = 1}});
    if (!slice) return tl::unexpected(slice.error());
    if (slice->records.empty()) return std::optional<std::string>();
    return std::optional(std::move(slice->records.front().key));
  }

  // The first key of each byte that follows `prefix`; `key` is the first of all.
  Result<std::vector<std::string>> branches_below(const std::string& prefix, std::string key) {
    std::vector<std::string> branches;
    for (;;) {
      branches.push_back(key);
      std::string next = prefix;
      if (key.size() == prefix.size()) {
        next += '\0';
      } else if (key[prefix.size()] == '\xff') {
        return branches;
      } else {
        next += static_cast<char>(key[prefix.size()] + 1);
      }
      auto found = first(next, prefix);
      if (!found) return tl::unexpected(found.error());
      if (!*found) return branches;
      key = std::move(**found);
    }
  }

  Collection& collection_;
  WallMilliseconds now_;
  Random& random_;
  std::size_t looks_ = 0;
};

}  // namespace

void random_key(RedisCall& call) {
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  Collection* collection = call.database().find(call.collection());
  if (collection == nullptr) return call.reply().null();
  static thread_local Random random(random_seed());
  const auto key = RandomWalk(*collection, call.database().wall(), random).run();
  if (!key) return call.fail(key.error());
  if (*key)
    call.reply().bulk(**key);
  else
    call.reply().null();
}

}  // namespace dhrt::redis
