#include <charconv>
#include <utility>

#include "node/command_input.h"
#include "node/commands.h"
#include "protocol/resp.h"
#include "storage/base/system_clock.h"
#include "storage/record_codec.h"

namespace dhrt::commands {

namespace {

// An array's head tells its length, so the whole reply is held until the last key is known.
constexpr std::size_t keys_max = 1048576;
// One piece of work of the loop; about a millisecond.
constexpr std::size_t keys_per_slice = 4096;
constexpr std::uint64_t scan_limit_default = 1000;
constexpr std::uint64_t scan_limit_max = 10000;
constexpr std::size_t scan_bytes_max = std::size_t{4} << 20;

class KeysStream final : public ReplyStream {
 public:
  KeysStream(CommandServer& server, std::string collection, std::string prefix)
      : server_(server), collection_(std::move(collection)) {
    request_.from = prefix;
    request_.prefix = std::move(prefix);
    request_.with_values = false;
    request_.limits.records_max = keys_per_slice;
  }

  Next produce(std::string& out, Position&) override {
    Collection* collection = server_.database.find(collection_);
    if (collection == nullptr) return finish(out);
    request_.now = wall_now();
    auto slice = collection->scan(request_);
    if (!slice) return give_error(out, slice.error());
    for (KeyedRecord& entry : slice->records)
      resp::append_reply(items_, Reply::bulk(std::move(entry.key)));
    count_ += slice->records.size();
    if (count_ > keys_max || items_.size() > server_.output_buffer_max / 2)
      return give_error(
          out, {ErrorCode::invalid_argument,
                "there are more keys than one reply may hold (" + std::to_string(keys_max) +
                    " keys, half of "
                    "--output-buffer-max); read them in pages with `scan " +
                    collection_ + "`, or give a prefix"});
    if (!slice->next) return finish(out);
    request_.from = std::move(*slice->next);
    return Next::piece;
  }

 private:
  Next finish(std::string& out) const {
    out += "*" + std::to_string(count_) + "\r\n";
    out += items_;
    return Next::end;
  }
  Next give_error(std::string& out, const Error& error) const {
    ++server_.figures.of(ClientDialect::text).errors_total;
    resp::append_reply(out, to_reply(error));
    return Next::end;
  }

  CommandServer& server_;
  std::string collection_;
  ScanRequest request_;
  std::string items_;
  std::size_t count_ = 0;
};

Result<std::uint64_t> scan_limit(const Arguments& arguments) {
  const auto text = arguments.value_of("limit");
  if (!text) return scan_limit_default;
  std::uint64_t limit = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (read.ec != std::errc() || read.ptr != text->data() + text->size() || limit == 0 ||
      limit > scan_limit_max)
    return fail(ErrorCode::invalid_argument,
                "--limit is a number from 1 to " + std::to_string(scan_limit_max));
  return limit;
}

// In the place of a value, so that nobody takes it for an empty one.
constexpr Bytes damaged_in_list = "ERR the value is damaged; `get` says what to do";

// `full`: deadline and content type follow each value.
Reply to_page(ScanSlice slice, bool full) {
  Reply::Array entries;
  entries.reserve(slice.records.size() * (full ? 4 : 2));
  for (KeyedRecord& entry : slice.records) {
    Record& record = entry.record;
    entries.push_back(Reply::bulk(std::move(entry.key)));
    entries.push_back(record.damaged ? Reply::error(std::string(damaged_in_list))
                                     : Reply::bulk(std::move(record.value)));
    if (!full) continue;
    entries.push_back(Reply::integer(static_cast<std::int64_t>(record.deadline)));
    entries.push_back(Reply::bulk(
        find_attribute(record.attributes, attribute_content_type).value_or(std::string())));
  }
  Reply::Array page;
  page.push_back(Reply::bulk(slice.next.value_or("")));
  page.push_back(Reply::array(std::move(entries)));
  return Reply::array(std::move(page));
}

}  // namespace

void keys(CommandCall& call) {
  const auto& words = call.words();
  std::string collection(words.size() > 1 ? Bytes(words[1]) : default_collection);
  if (auto status = check_collection(collection); !status) return call.fail(status.error());
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  call.session().stream(std::make_unique<KeysStream>(call.server(), std::move(collection),
                                                     words.size() > 2 ? words[2] : ""));
}

void scan(CommandCall& call) {
  const std::string& name = call.words()[1];
  if (auto status = check_collection(name); !status) return call.fail(status.error());
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  const auto limit = scan_limit(call.arguments());
  if (!limit) return call.fail(limit.error());
  Collection* collection = call.database().find(name);
  if (collection == nullptr) return call.reply(to_page({}, false));
  auto slice =
      collection->scan({.from = std::string(call.arguments().value_of("from").value_or("")),
                        .prefix = std::string(call.arguments().value_of("prefix").value_or("")),
                        .now = wall_now(),
                        .limits = {.records_max = *limit, .bytes_max = scan_bytes_max}});
  if (!slice) return call.fail(slice.error());
  call.reply(to_page(std::move(*slice), call.arguments().has("full")));
}

}  // namespace dhrt::commands
