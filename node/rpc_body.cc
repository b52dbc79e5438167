#include "node/rpc_body.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "node/rpc_methods.h"

namespace dhrt {

namespace {

// Calls of one body in a turn, so that other clients get theirs.
constexpr std::size_t calls_per_turn_max = 1024;

std::string_view known_name(const rpc::Call& call) {
  const auto found = std::ranges::find(rpc_methods(), call.method, &RpcMethod::name);
  return found == rpc_methods().end() ? "?" : found->name;
}

class RpcBody : public std::enable_shared_from_this<RpcBody> {
 public:
  explicit RpcBody(Exchange exchange)
      : exchange_(std::move(exchange)), parts_(rpc::parse_body(exchange_->request().body)) {
    exchange_->request().body = {};
    specify();
  }

  // Makes calls until one waits for its outcome. The outcome may come within the call.
  void go_on() {
    if (std::exchange(runs_, true)) return;
    std::size_t made = 0;
    while (!waits_ && part_ < parts_.size() && made < calls_per_turn_max) {
      make_call();
      ++made;
    }
    runs_ = false;
    if (waits_) return;
    if (part_ == parts_.size()) return respond();
    exchange_->server().post([self = shared_from_this()] { self->go_on(); });
  }

 private:
  // "Storage.Get, 3 calls": what the first one is, and how many there are.
  void specify() {
    Session* const session = exchange_->session_or_null();
    if (session == nullptr || !session->is_traced() || parts_.empty()) return;
    std::size_t count = 0;
    for (const rpc::Part& part : parts_)
      count += part.calls.size();
    const auto& calls = parts_.front().calls;
    std::string text(calls.empty() ? "?" : known_name(calls.front()));
    if (count > 1) text += ", " + std::to_string(count) + " calls";
    session->specify_request(text);
  }

  void make_call() {
    const rpc::Part& part = parts_[part_];
    if (call_ == 0) reply_.begin(part);
    waits_ = true;
    const RpcCall call{exchange_->server(),
                       exchange_->grant(),
                       exchange_->client(),
                       exchange_->must_wait(),
                       part.calls[call_],
                       [self = shared_from_this()](const rpc::Outcome& outcome, Position position) {
                         self->made(outcome, position);
                       }};
    const std::size_t bytes_max = exchange_->server().output_buffer_max;
    if (reply_.bytes() <= bytes_max) return run_rpc_call(call);
    call.fail(rpc::code::overloaded, "the reply to the calls before has more than " +
                                         std::to_string(bytes_max) +
                                         " bytes; ask for less, or raise --output-buffer-max");
  }

  void made(const rpc::Outcome& outcome, Position position) {
    waits_ = false;
    position_ = std::max(position_, position);
    if (outcome.fault) {
      ++exchange_->server().figures.of(ClientDialect::rpc).errors_total;
      if (Session* const session = exchange_->session_or_null())
        session->request_fails(std::to_string(outcome.fault->code));
    }
    const rpc::Part& part = parts_[part_];
    reply_.outcome(part.calls[call_], outcome);
    if (++call_ == part.calls.size()) {
      reply_.end();
      call_ = 0;
      ++part_;
    }
    go_on();
  }

  void respond() {
    std::string body = reply_.take();
    if (body.empty())
      exchange_->respond({.status = 204, .content_type = ""}, position_);
    else
      exchange_->respond({.body = std::move(body)}, position_);
  }

  Exchange exchange_;
  const std::vector<rpc::Part> parts_;
  std::size_t part_ = 0;
  std::size_t call_ = 0;  // Of the part.
  rpc::ReplyBody reply_;
  Position position_ = 0;
  bool runs_ = false;
  bool waits_ = false;
};

}  // namespace

void run_rpc_body(const Exchange& exchange) {
  exchange->wait();
  std::make_shared<RpcBody>(exchange)->go_on();
}

}  // namespace dhrt
