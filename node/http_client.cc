#include "node/http_client.h"

#include <utility>

namespace dhrt {

HttpClient::HttpClient(EventLoop& loop, Address address, Dial::Reach reach)
    : loop_(loop),
      address_(std::move(address)),
      reach_(reach),
      timer_(loop, [this] { finish(fail(ErrorCode::timeout, "no answer in time")); }) {}

void HttpClient::get(Wanted wanted, Done done) {
  wanted_ = std::move(wanted);
  done_ = std::move(done);
  timer_.once(wanted_.timeout);
  is_kept_ = connection_ != nullptr;
  if (is_kept_)
    ask();
  else
    dial();
}

void HttpClient::disconnect() {
  connection_.reset();
}

void HttpClient::dial() {
  connection_.reset();
  is_kept_ = false;
  dial_ = std::make_unique<Dial>(loop_, address_, Dial::Options{.reach = reach_},
                                 [this](auto result) { dialled(std::move(result)); });
}

void HttpClient::dialled(Result<std::unique_ptr<StreamConnection>> result) {
  dial_.reset();
  if (!result) return finish(tl::unexpected(result.error()));
  connection_ = std::move(*result);
  local_host_ = connection_->local_host();
  connection_->set_handler(this);
  connection_->start_reading();
  ask();
}

void HttpClient::ask() {
  parser_.emplace(wanted_.body_bytes_max);
  heard_ = false;
  connection_->write("GET " + wanted_.target + " HTTP/1.1\r\nHost: " + to_text(address_) +
                     "\r\nConnection: keep-alive\r\n\r\n");
}

void HttpClient::received(Bytes bytes) {
  if (!busy() || !parser_) return connection_.reset();  // Nobody asked.
  heard_ = true;
  auto fed = parser_->feed(bytes);
  if (!fed) return finish(tl::unexpected(fed.error()));
  if (*fed) finish(*std::move(*fed));
}

void HttpClient::ended() {
  if (busy() && parser_ && heard_)
    finish(parser_->finish());
  else
    lost("the connection was closed");
}

void HttpClient::failed(const std::string& reason) {
  lost(reason);
}

void HttpClient::lost(const std::string& reason) {
  connection_.reset();
  if (!busy()) return;
  // It was closed while nobody asked for anything; the time goes on.
  if (is_kept_ && !heard_) return dial();
  finish(fail(ErrorCode::unavailable, reason));
}

void HttpClient::finish(Result<http::Answer> result) {
  timer_.cancel();
  dial_.reset();
  parser_.reset();
  if (!result || !result->keep_alive) connection_.reset();
  const Done done = std::exchange(done_, nullptr);
  done(std::move(result));
}

}  // namespace dhrt
