#include "node/cli_watch.h"

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <poll.h>
#include <string>
#include <utility>

#include "node/cli_command.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/exit_code.h"
#include "protocol/duration.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration slice{200};
// Three heartbeats.
constexpr Duration silence_max{30000};
// Between two attempts, when the last one brought nothing.
constexpr Duration pause_max{5000};

struct Push {
  Bytes event, collection, key, value, token;
};

// Absent if the reply is of another form.
std::optional<Push> push_of(const Reply& reply) {
  const auto* parts = std::get_if<Reply::Array>(&reply.value);
  std::array<Bytes, 5> texts;
  if (parts == nullptr || parts->size() != texts.size()) return std::nullopt;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto* text = std::get_if<std::string>(&(*parts)[i].value);
    if (text == nullptr) return std::nullopt;
    texts[i] = *text;
  }
  return Push{texts[0], texts[1], texts[2], texts[3], texts[4]};
}

std::string plain_line(const Push& push) {
  if (push.event == "token") return {};
  std::string line(push.event);
  if (push.event != "reset") line.append("\t").append(push.key);
  if (push.event == "set") line.append("\t").append(push.value);
  return line + "\n";
}

std::string json_line(const Push& push) {
  const bool is_text = json::is_utf8(push.key) && json::is_utf8(push.value);
  const auto written = [&](Bytes bytes) {
    return is_text ? std::string(bytes) : json::base64(bytes);
  };
  json::Writer writer;
  writer.begin_object().key("event").string(push.event);
  writer.key("collection").string(push.collection);
  if (push.event != "reset" && push.event != "token") writer.key("key").string(written(push.key));
  if (push.event == "set") writer.key("value").string(written(push.value));
  if (!is_text) writer.key("encoding").string("base64");
  if (!push.token.empty()) writer.key("token").string(push.token);
  writer.end_object();
  return writer.take() + "\n";
}

class WatchRun {
 public:
  WatchRun(const Target& target, WatchCall call, Console& console)
      : target_(target), call_(std::move(call)), console_(console) {}

  int run() {
    auto client = connect();
    while (client) {
      const Error error = follow(*client);
      if (code_) return *code_;
      if (interrupted()) return exit_code::interrupted;
      complain(console_, error.message + "; asking again");
      client = reconnect(error);
    }
    if (interrupted()) return exit_code::interrupted;
    complain(console_, client.error().message +
                           (token_.empty() ? "" : "; go on later with --since " + token_));
    return exit_code_of(client.error());
  }

 private:
  Result<Client> connect() {
    auto client = connect_to(target_);
    if (!client || call_.auth.empty()) return client;
    if (auto answered = client->call(call_.auth, target_.timeout); !answered)
      return tl::unexpected(answered.error());
    return client;
  }

  // A node may take connections and have nothing for us: that is no reason to ask without a pause.
  Result<Client> reconnect(const Error& why) {
    if (told_ || pause_ == Duration{}) deadline_ = monotonic_now() + target_.timeout;
    pause_ = std::exchange(told_, false) ? slice : std::min(2 * std::max(pause_, slice), pause_max);
    Result<Client> client = tl::unexpected(why);
    for (Time due = monotonic_now() + pause_; !client; due = monotonic_now() + slice) {
      while (!interrupted() && monotonic_now() < due)
        poll(nullptr, 0, static_cast<int>(slice.count()));
      if (interrupted() || monotonic_now() >= deadline_) break;
      client = connect();
    }
    return client;
  }

  std::vector<text::Token> tokens() const {
    Arguments arguments = call_.asked;
    if (!token_.empty()) {
      std::erase_if(arguments.flags, [](const auto& flag) { return flag.first == "since"; });
      arguments.flags.emplace_back("since", token_);
    }
    return command_tokens(arguments);
  }

  // Until there is no more to come; code_ says whether that is the end of all.
  Error follow(Client& client) {
    client.queue(text::to_line(tokens()) + "\n");
    Time heard = monotonic_now();
    for (;;) {
      std::vector<Reply> replies;
      const Status moved = client.exchange(slice, replies);
      for (const Reply& reply : replies)
        print(reply);
      if (!replies.empty()) heard = monotonic_now();
      if (!replies.empty()) console_.out << std::flush;
      if (!console_.out) code_ = exit_code::server_error;
      if (refused_) return *std::exchange(refused_, std::nullopt);
      if (!moved) return moved.error();
      if (code_) return {};
      if (monotonic_now() - heard > silence_max)
        return {ErrorCode::timeout,
                to_text(target_.host) + " was silent for " + to_text(silence_max)};
    }
  }

  void print(const Reply& reply) {
    if (const auto* error = std::get_if<ReplyError>(&reply.value)) {
      // After a cut all watchers come back at once: what it says now need not be so in a moment.
      if (begun_ && error->message.starts_with("BUSY ")) {
        refused_ = Error{ErrorCode::busy, "the node refused: " + printable(error->message)};
        return;
      }
      complain(console_, "the node refused: " + printable(error->message));
      code_ = exit_code_of(*error);
      return;
    }
    const auto push = push_of(reply);
    if (!push) {
      complain(console_, to_text(target_.host) + " does not answer as a dhrt node does");
      code_ = exit_code::server_error;
      return;
    }
    begun_ = told_ = true;
    if (!push->token.empty()) token_ = push->token;
    console_.out << (call_.asked.has("json") ? json_line(*push) : plain_line(*push));
  }

  const Target& target_;
  const WatchCall call_;
  Console& console_;
  std::string token_;   // The last one.
  bool begun_ = false;  // Something was told, on some connection.
  bool told_ = false;   // On this one.
  Duration pause_{};    // Before the last attempt.
  Time deadline_;       // Of attempts that bring nothing.
  std::optional<Error> refused_;
  std::optional<int> code_;
};

}  // namespace

int run_watch(const Target& target, WatchCall call, Console& console) {
  return WatchRun(target, std::move(call), console).run();
}

}  // namespace dhrt
