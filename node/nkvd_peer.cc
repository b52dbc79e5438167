#include "node/nkvd_peer.h"

#include <algorithm>
#include <utility>

#include "node/log.h"
#include "protocol/json.h"
#include "protocol/json_extent.h"
#include "storage/base/hash.h"
#include "storage/base/system_clock.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

// Of one call of work(); a part of a millisecond.
constexpr std::size_t items_at_once = 128;
constexpr std::size_t keys_at_once = 128;
// What nkvd can hold is shorter, even if every unit of it is escaped.
constexpr std::size_t item_bytes_max = 4096;

bool is_good(const Result<http::Answer>& result) {
  return result && result->status == 200;
}

}  // namespace

NkvdPeer::NkvdPeer(const Parts& parts, Address address, Hooks hooks)
    : parts_(parts),
      address_(std::move(address)),
      hooks_(std::move(hooks)),
      client_(parts.loop, address_, parts.reach) {}

void NkvdPeer::get(std::string target, std::function<void(Result<http::Answer>)> done) {
  client_.get(
      {.target = std::move(target), .body_bytes_max = answer_bytes_max, .timeout = request_timeout},
      std::move(done));
}

// --- What is due ------------------------------------------------------------------------------

void NkvdPeer::work(Time now) {
  if (client_.busy()) return;
  if (now >= next_probe_) return probe(now);
  if (!serves()) return;
  if (resync_ == Resync::none && queue_.empty() && compare_at_ && now >= *compare_at_)
    resynchronise();
  if (clear_first_) return clear();
  if (resync_ == Resync::fetch) return fetch();
  // What waits goes first, so that a comparison cannot fill the queue.
  if (!queue_.empty() && send_some()) return;
  if (queue_.empty() && resync_ == Resync::compare) compare_some();
  if (queue_.empty() && resync_ == Resync::scan) scan_some();
  if (!queue_.empty() || resync_ != Resync::none) hooks_.more();
}

void NkvdPeer::forward(bool forwards) {
  if (forwards == forwards_) return;
  forwards_ = forwards;
  clear_first_ = false;
  resynchronise();
}

// --- Whether it is there ----------------------------------------------------------------------

void NkvdPeer::probe(Time now) {
  next_probe_ = now + (kind_ == Kind::dhrt ? stranger_interval : ping_interval);
  if (kind_ == Kind::nkvd)
    get(hooks_.ping_target(), [this](const Result<http::Answer>& result) { pinged(result); });
  else
    get("/status", [this](const Result<http::Answer>& result) { identified(result); });
}

void NkvdPeer::identified(const Result<http::Answer>& result) {
  const bool was_asked = std::exchange(was_asked_, true);
  if (is_good(result)) {
    alive_ = monotonic_now();
    const auto document = json::Document::parse(result->body);
    const bool is_dhrt = !result->header("x-dhrt-node").empty();
    kind_ = is_dhrt                                               ? Kind::dhrt
            : document && document->root().member("maxKeyLength") ? Kind::nkvd
                                                                  : Kind::unknown;
  } else {
    kind_ = Kind::unknown;
  }
  if (kind_ == Kind::nkvd) {
    next_probe_ = {};
    return hooks_.more();
  }
  client_.disconnect();
  // Whoever did not answer once is asked less often.
  if (was_asked) next_probe_ = monotonic_now() + stranger_interval;
}

void NkvdPeer::pinged(const Result<http::Answer>& result) {
  if (result && !result->header("x-dhrt-node").empty()) {
    // A node of dhrt took its place.
    go_down("it is a node of dhrt now");
    kind_ = Kind::dhrt;
    return client_.disconnect();
  }
  auto nodes = is_good(result) ? nkvd::parse_ping_answer(result->body) : std::nullopt;
  if (!nodes)
    return failed(result ? Error{ErrorCode::corrupt, "its answer to /ping is none of nkvd's"}
                         : result.error());
  alive_ = monotonic_now();
  ping_failures_ = 0;
  if (!up_) go_up();
  hooks_.more();
  hooks_.learned(*nodes);
}

void NkvdPeer::failed(const Error& error) {
  ++ping_failures_;
  // Nobody listens there, or it was late or strange some times.
  if (error.code == ErrorCode::unavailable || ping_failures_ >= failures_max)
    go_down(error.message);
}

void NkvdPeer::go_up() {
  up_ = true;
  log_info("a node of nkvd is up", {{"node", to_text(address_)}});
  resynchronise();
}

void NkvdPeer::go_down(const std::string& reason) {
  if (!up_) return;
  up_ = false;
  log_warning("a node of nkvd is down", {{"node", to_text(address_)}, {"reason", reason}});
  resynchronise();
}

// --- What it has to get -----------------------------------------------------------------------

void NkvdPeer::changed(Bytes key) {
  if (!serves() || queued_.contains(std::string(key))) return;
  if (queue_.size() >= queued_max) {
    if (!compare_at_)
      log_warning("a node of nkvd is slower than what is written; everything is compared later",
                  {{"node", to_text(address_)}});
    return compare_from({});
  }
  queue_.emplace_back(key);
  queued_.emplace(key);
  hooks_.more();
}

void NkvdPeer::compare_from(Time when) {
  compare_at_ = compare_at_ ? std::min(*compare_at_, when) : when;
}

// One that is down hears it when it is back: what it has of before is not to be copied.
void NkvdPeer::cleared() {
  if (kind_ != Kind::nkvd || !forwards_) return;
  queue_.clear();
  queued_.clear();
  end_resync();
  clear_first_ = true;
  hooks_.more();
}

void NkvdPeer::resynchronise() {
  queue_.clear();
  queued_.clear();
  write_failures_ = 0;
  end_resync();
  copy_failed_ = false;
  compare_at_.reset();
  if (!serves()) return;
  resync_ = Resync::fetch;
  hooks_.more();
}

void NkvdPeer::end_resync() {
  resync_ = Resync::none;
  copy_ = {};
  theirs_ = {};
  compared_ = 0;
  scan_from_.clear();
}

NkvdPeer::Held NkvdPeer::held(Bytes key) {
  Held held;
  Collection* const collection = parts_.database.find(default_collection);
  if (collection == nullptr) return held;
  const WallMilliseconds now = parts_.database.wall();
  const Status read = collection->read(HashedKey(key), [&](const RecordView* record) {
    if (record == nullptr) return;
    held.known = true;
    held.damaged = record->damaged;
    held.visible = visible(*record, now);
    held.written = hlc_milliseconds(record->version.hlc);
    held.marked = find_attribute(record->attributes, attribute_not_for_nkvd).has_value();
    // A longer one is not sent, and not equal to any of theirs.
    if (held.visible) held.value = record->value.substr(0, nkvd::value_length_max * 4);
  });
  held.damaged = held.damaged || !read;
  return held;
}

// --- Comparing --------------------------------------------------------------------------------

void NkvdPeer::fetch() {
  fetched_at_ = parts_.database.wall();
  client_.get({.target = "/getAll", .body_bytes_max = copy_bytes_max, .timeout = copy_timeout},
              [this](Result<http::Answer> result) { fetched(std::move(result)); });
}

void NkvdPeer::fetched(Result<http::Answer> result) {
  hooks_.more();
  // Meanwhile it was forgotten, or another comparison is to begin.
  if (resync_ != Resync::fetch) return;
  next_probe_ = monotonic_now();
  if (is_good(result)) {
    resync_ = Resync::compare;
    copy_ = std::move(result->body);
    const std::size_t open = copy_.find_first_not_of(" \t\r\n");
    if (open != std::string::npos && copy_[open] == '[') {
      compared_ = open + 1;
      return;
    }
  }
  log_warning("what a node of nkvd has could not be read; it is sent everything",
              {{"node", to_text(address_)},
               {"reason", result ? "its answer to /getAll is no list" : result.error().message}});
  copy_ = {};
  resync_ = Resync::scan;
}

void NkvdPeer::compare_some() {
  for (std::size_t i = 0; i < items_at_once; ++i) {
    Bytes rest = json::without_blanks(Bytes(copy_).substr(compared_));
    if (rest.starts_with(',')) rest = json::without_blanks(rest.substr(1));
    const auto end = rest.empty() || rest.front() == ']' ? std::nullopt : json::value_end(rest);
    if (!end || *end == 0) {
      // The end of the list, or of what can be read of it.
      if (rest.starts_with(']')) copied_ = true;
      copy_ = {};
      resync_ = Resync::scan;
      return;
    }
    compared_ = copy_.size() - rest.size() + *end;
    if (*end > item_bytes_max) continue;
    const auto item = json::Document::parse(rest.substr(0, *end));
    if (!item) continue;
    const auto key = item->root().member("k");
    const auto value = item->root().member("v");
    if (!key || !value) continue;
    const auto key_text = key->string();
    const auto value_text = value->string();
    if (key_text && value_text && nkvd::takes_key(*key_text)) compare(*key_text, *value_text);
  }
}

void NkvdPeer::compare(const std::string& key, const std::string& value) {
  theirs_.insert(hash64(key));
  const Held ours = held(key);
  if (ours.damaged) return;
  // Of whom we never copied anything, we know no deletes but those since we asked.
  const bool deleted = ours.known && (copied_ || ours.written > fetched_at_);
  if (!ours.visible && !deleted) return copy(key, value);
  if (ours.marked) return;
  if (!ours.visible || ours.value != value) changed(key);
}

void NkvdPeer::copy(const std::string& key, const std::string& value) {
  const auto written =
      parts_.database.set(default_collection, key, value,
                          {.if_absent = true,
                           .attributes = with_attribute({}, attribute_not_for_nkvd, ""),
                           .copies = true});
  if (written)
    ++parts_.figures.nkvd_records_copied;
  else if (written.error().code != ErrorCode::precondition && !std::exchange(copy_failed_, true))
    log_warning("a record of nkvd could not be stored", {{"reason", written.error().message}});
}

void NkvdPeer::scan_some() {
  Collection* const collection = parts_.database.find(default_collection);
  if (collection == nullptr) {
    end_resync();
    return log_info("a node of nkvd was compared", {{"node", to_text(address_)}});
  }
  const auto slice = collection->scan({.from = scan_from_,
                                       .prefix = {},
                                       .with_values = false,
                                       .now = parts_.database.wall(),
                                       .limits = {.records_max = keys_at_once}});
  if (!slice) return end_resync();
  for (const KeyedRecord& entry : slice->records)
    if (!theirs_.contains(hash64(entry.key))) changed(entry.key);
  if (resync_ != Resync::scan) return;
  if (slice->next) {
    scan_from_ = *slice->next;
    return;
  }
  end_resync();
  log_info("a node of nkvd was compared", {{"node", to_text(address_)}});
}

// --- Sending ----------------------------------------------------------------------------------

// False: nothing of this slice was to be sent.
bool NkvdPeer::send_some() {
  for (std::size_t i = 0; i < keys_at_once && !queue_.empty(); ++i) {
    const std::string key = std::move(queue_.front());
    queue_.pop_front();
    queued_.erase(key);
    if (send(key)) return true;
  }
  return false;
}

bool NkvdPeer::send(const std::string& key) {
  const Held ours = held(key);
  if (!ours.known || ours.marked || ours.damaged) return false;
  if (!nkvd::takes_key(key) || !nkvd::takes_value(ours.value)) {
    ++parts_.figures.nkvd_writes_refused;
    hooks_.refused("nkvd takes keys below 64 and values below 256 characters, as UTF-8");
    return false;
  }
  std::string target = ours.visible ? "/set?k=" : "/rm?k=";
  target += http::percent_encoded(key);
  if (ours.visible) target += "&v=" + http::percent_encoded(ours.value);
  get(target + "&noReplicate=true",
      [this, key](const Result<http::Answer>& result) { sent(key, result); });
  return true;
}

void NkvdPeer::sent(const std::string& key, const Result<http::Answer>& result) {
  hooks_.more();
  // A key that it does not have was to be removed.
  if (result && (result->status == 200 || result->status == 404)) {
    write_failures_ = 0;
    ++parts_.figures.nkvd_writes_sent;
    return;
  }
  if (result || ++write_failures_ >= failures_max) {
    write_failures_ = 0;
    ++parts_.figures.nkvd_writes_refused;
    hooks_.refused(result ? Bytes("it answered something else than 200") : result.error().message);
    // Whatever stood in the way may pass; what it refused itself it refuses again.
    if (!result || result->status >= 500) compare_from(monotonic_now() + compare_again_after);
    return;
  }
  // Once more, if it is still there.
  next_probe_ = {};
  if (!serves() || !queued_.insert(key).second) return;
  queue_.push_front(key);
}

void NkvdPeer::clear() {
  clear_first_ = false;  // Until it is said again.
  get("/clear?noReplicate=true", [this](const Result<http::Answer>& result) {
    hooks_.more();
    next_probe_ = {};
    if (!serves()) return;
    if (!is_good(result) && ++write_failures_ < failures_max) {
      clear_first_ = true;
      return;
    }
    write_failures_ = 0;
    // What was written since the clearing may have been sent before it.
    end_resync();
    resync_ = is_good(result) ? Resync::scan : Resync::fetch;
  });
}

}  // namespace dhrt
