#include "node/reply_queue.h"

#include <utility>

namespace dhrt {

void ReplyQueue::add(std::string bytes, Position position) {
  bytes_ += bytes.size();
  entries_.push_back({std::move(bytes), position, true, nullptr});
}

void ReplyQueue::add(std::unique_ptr<ReplyStream> stream) {
  ++streams_;
  entries_.push_back({{}, 0, false, std::move(stream)});
}

ReplyQueue::Slot ReplyQueue::reserve() {
  entries_.emplace_back();
  return front_ + entries_.size() - 1;
}

void ReplyQueue::finish(Slot slot, std::string bytes, Position position) {
  if (slot < front_ || slot - front_ >= entries_.size()) return;
  Entry& entry = entries_[slot - front_];
  bytes_ += bytes.size();
  entry = {std::move(bytes), position, true, nullptr};
}

void ReplyQueue::finish(Slot slot, std::unique_ptr<ReplyStream> stream) {
  if (slot < front_ || slot - front_ >= entries_.size()) return;
  ++streams_;
  entries_[slot - front_].stream = std::move(stream);
}

void ReplyQueue::release(Position durable, std::string& out) {
  while (!entries_.empty() && entries_.front().done && entries_.front().position <= durable) {
    bytes_ -= entries_.front().bytes.size();
    if (out.empty())
      out = std::move(entries_.front().bytes);
    else
      out += entries_.front().bytes;
    entries_.pop_front();
    ++front_;
  }
}

ReplyStream* ReplyQueue::stream() {
  return entries_.empty() ? nullptr : entries_.front().stream.get();
}

void ReplyQueue::end_stream(std::string last, Position position) {
  --streams_;
  bytes_ += last.size();
  entries_.front() = {std::move(last), position, true, nullptr};
}

}  // namespace dhrt
