#include "node/reply_queue.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

// Swaps where nothing must be kept, so that both strings go on using their memory.
void move_to(std::string& out, std::string& bytes) {
  if (out.empty())
    out.swap(bytes);
  else
    out += bytes;
  bytes.clear();
}

}  // namespace

std::string& ReplyQueue::open(Position position) {
  // Reads need not wait for the disk because a write comes behind them.
  if (run_position_ == 0 && position != 0) end_run();
  run_position_ = std::max(run_position_, position);
  ++run_replies_;
  ++replies_;
  return run_;
}

void ReplyQueue::end_run() {
  if (!run_.empty()) {
    bytes_ += run_.size();
    entries_.push_back({std::exchange(run_, {}), run_position_, run_replies_, true, nullptr});
  } else {
    replies_ -= run_replies_;  // Without a byte there is nothing to wait for.
  }
  run_position_ = 0;
  run_replies_ = 0;
}

void ReplyQueue::add(std::unique_ptr<ReplyStream> stream) {
  end_run();
  ++streams_;
  ++replies_;
  entries_.push_back({{}, 0, 1, false, std::move(stream)});
}

ReplyQueue::Slot ReplyQueue::reserve() {
  end_run();
  ++replies_;
  entries_.emplace_back();
  return front_ + entries_.size() - 1;
}

void ReplyQueue::finish(Slot slot, std::string bytes, Position position) {
  if (slot < front_ || slot - front_ >= entries_.size()) return;
  Entry& entry = entries_[slot - front_];
  bytes_ += bytes.size();
  entry = {std::move(bytes), position, 1, true, nullptr};
}

void ReplyQueue::finish(Slot slot, std::unique_ptr<ReplyStream> stream) {
  if (slot < front_ || slot - front_ >= entries_.size()) return;
  ++streams_;
  entries_[slot - front_].stream = std::move(stream);
}

void ReplyQueue::release(Position durable, std::string& out) {
  while (!entries_.empty() && entries_.front().done && entries_.front().position <= durable) {
    Entry& front = entries_.front();
    bytes_ -= front.bytes.size();
    replies_ -= front.replies;
    move_to(out, front.bytes);
    entries_.pop_front();
    ++front_;
  }
  if (!entries_.empty() || run_position_ > durable) return end_run();
  move_to(out, run_);
  replies_ -= std::exchange(run_replies_, 0);
  run_position_ = 0;
}

ReplyStream* ReplyQueue::stream() {
  return entries_.empty() ? nullptr : entries_.front().stream.get();
}

void ReplyQueue::end_stream(std::string last, Position position) {
  --streams_;
  bytes_ += last.size();
  entries_.front() = {std::move(last), position, 1, true, nullptr};
}

void ReplyQueue::shrink() {
  if (run_.empty()) run_ = {};
}

}  // namespace dhrt
