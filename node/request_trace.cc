#include "node/request_trace.h"

#include <algorithm>
#include <utility>

#include "protocol/hati_text.h"
#include "protocol/http.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

using Outcome = TracedRequest::Outcome;

constexpr std::size_t code_digits = 3;
constexpr char lowest_error = '4';  // Of HTTP's codes and of Hermod's.

// "-WRONGTYPE Operation against …"
std::string error_word(Bytes reply) {
  if (!reply.starts_with('-')) return {};
  reply.remove_prefix(1);
  const auto end =
      std::ranges::find_if_not(reply, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
  return {reply.begin(), end};
}

std::string code_at(Bytes reply, std::size_t at) {
  if (at > reply.size()) return {};
  const Bytes code = reply.substr(at, code_digits);
  return code.size() == code_digits && code.front() >= lowest_error ? std::string(code)
                                                                    : std::string();
}

std::string http_status(Bytes reply) {
  if (reply.starts_with(http::continue_line)) reply.remove_prefix(http::continue_line.size());
  return code_at(reply, Bytes("HTTP/1.1 ").size());
}

// "…{  nanoseconds 404}", and perhaps a byte.
std::string hermod_code(Bytes reply) {
  const std::size_t end = reply.rfind('}');
  return end == Bytes::npos || end < code_digits ? std::string()
                                                 : code_at(reply, end - code_digits);
}

}  // namespace

std::string error_in(ClientDialect dialect, Bytes reply) {
  switch (dialect) {
    case ClientDialect::text:
    case ClientDialect::resp:
      return error_word(reply);
    case ClientDialect::http:
    case ClientDialect::rpc:
      return http_status(reply);
    case ClientDialect::hati:
      return reply == hati::error_reply ? "ERR" : "";
    case ClientDialect::hermod:
      return hermod_code(reply);
  }
  return {};
}

// --- Around take() --------------------------------------------------------------------------

void RequestTrace::before_take(const ReplyQueue& replies) {
  // What was pushed meanwhile.
  if (replies.size() > replies_)
    put({.request = {}, .is_request = false, .slot = replies.mark().slot},
        replies.size() - replies_);
  taken_.reset();
  reserved_.reset();
  mark_ = replies.mark();
}

void RequestTrace::starts(ClientDialect dialect, Bytes name) {
  taken_ = Entry{.request = {.dialect = dialect,
                             .name = std::string(name.substr(0, name_bytes_max)),
                             .client = client_,
                             .error = {},
                             .started = monotonic_microseconds()},
                 .waits = false};
  hooks_.request_start(taken_->request);
}

void RequestTrace::reserves(ReplyQueue::Slot slot) {
  reserved_ = slot;
  if (taken_) taken_->waits = true;
}

void RequestTrace::after_take(const ReplyQueue& replies) {
  const Bytes reply = replies.since(mark_);
  // What could not be understood was never started.
  if (!taken_ && !error_in(dialect_, reply).empty()) starts(dialect_, "?");
  const std::size_t count = replies.size() - std::min(replies_, replies.size());
  Entry entry =
      taken_ ? *std::exchange(taken_, std::nullopt) : Entry{.request = {}, .is_request = false};
  entry.slot = reserved_.value_or(replies.mark().slot);
  const bool is_complete = entry.request.completed.count() > 0;
  if (entry.is_request && !entry.waits && !is_complete) complete(entry.request, reply);
  if (count > 0) return put(std::move(entry), count);
  if (entry.is_request) end(entry.request);  // The client wants no reply.
}

void RequestTrace::put(Entry entry, std::size_t replies) {
  entry.replies = replies;
  replies_ += replies;
  entries_.push_back(std::move(entry));
}

// --- Later ----------------------------------------------------------------------------------

RequestTrace::Entry* RequestTrace::latest() {
  if (taken_) return &*taken_;
  return entries_.empty() || !entries_.back().is_request ? nullptr : &entries_.back();
}

void RequestTrace::specify(Bytes more) {
  Entry* const entry = latest();
  if (entry == nullptr) return;
  std::string& name = entry->request.name;
  (name += ' ') += more;
  name.resize(std::min(name.size(), name_bytes_max));
}

void RequestTrace::fails(std::string error) {
  Entry* const entry = latest();
  if (entry != nullptr && entry->request.error.empty()) entry->request.error = std::move(error);
}

void RequestTrace::finished(ReplyQueue::Slot slot, Bytes reply) {
  if (taken_ && reserved_ == slot) {
    taken_->waits = false;
    return complete(taken_->request, reply);
  }
  auto found = std::ranges::lower_bound(entries_, slot, {}, &Entry::slot);
  while (found != entries_.end() && found->slot == slot && !found->waits)
    ++found;
  if (found == entries_.end() || found->slot != slot) return;
  found->waits = false;
  if (found->is_request) complete(found->request, reply);
}

void RequestTrace::complete(TracedRequest& request, Bytes reply) {
  if (request.error.empty()) request.error = error_in(request.dialect, reply);
  request.outcome = request.error.empty() ? Outcome::ok : Outcome::error;
  request.completed = monotonic_microseconds();
  hooks_.request_complete(request);
}

void RequestTrace::end(TracedRequest& request) {
  request.ended = monotonic_microseconds();
  hooks_.request_end(request);
}

void RequestTrace::sent(const ReplyQueue& replies) {
  while (!entries_.empty() && replies_ > replies.size()) {
    Entry& front = entries_.front();
    if (front.replies > replies_ - replies.size()) return;  // Some of its replies are left.
    if (front.is_request) end(front.request);
    replies_ -= front.replies;
    entries_.pop_front();
  }
}

void RequestTrace::lost() {
  if (taken_) put(*std::exchange(taken_, std::nullopt), 1);
  for (Entry& entry : entries_) {
    if (!entry.is_request) continue;
    entry.request.outcome = Outcome::lost;
    if (entry.waits) {
      entry.request.completed = monotonic_microseconds();
      hooks_.request_complete(entry.request);
    }
    end(entry.request);
  }
  entries_.clear();
  replies_ = 0;
}

}  // namespace dhrt
