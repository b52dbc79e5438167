// Every call is answered once, by JSON that bears its id, and a reply is one line per part.
#include "protocol/json.h"
#include "protocol/json_rpc.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

std::string answer(const rpc::Part& part, bool fails) {
  rpc::ReplyBody reply;
  reply.begin(part);
  for (const rpc::Call& call : part.calls) {
    rpc::Outcome outcome{.result = rpc::quoted(call.method, call.version), .fault = call.fault};
    if (fails) outcome.fault = rpc::Fault{1, call.method};
    reply.outcome(call, outcome);
  }
  reply.end();
  return reply.take();
}

void check_answer(const rpc::Part& part, bool fails) {
  std::string text = answer(part, fails);
  std::vector<const rpc::Call*> answered;
  for (const rpc::Call& call : part.calls)
    if (!call.notifies) answered.push_back(&call);
  check(text.empty() == answered.empty(), "an answer to who wants one");
  if (text.empty()) return;
  check(text.back() == '\n', "one line");
  const auto document = json::Document::parse(text);
  check(document.has_value(), "an answer is JSON");
  const auto root = document->root();
  const auto items = part.is_batch ? root.items() : std::vector{root};
  check(items.size() == answered.size(), "as many as were asked for");
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto id = json::Document::parse(answered[i]->id);
    check(id && items[i].member("id")->text() == id->root().text(), "the same id");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const rpc::Part& part : rpc::parse_body(fuzz::bytes_of(data, size))) {
    check(!part.calls.empty(), "a part has calls");
    check_answer(part, false);
    check_answer(part, true);
  }
  return 0;
}
