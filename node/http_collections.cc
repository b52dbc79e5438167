#include <utility>

#include "node/command_input.h"
#include "node/http_conditions.h"
#include "node/http_list.h"
#include "node/http_record.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr std::size_t keys_per_piece = 1024;
// A deleted collection is answered with its keys, which are held until all are known.
constexpr std::size_t deleted_keys_max = 1048576;

void append_record(std::string& out, const KeyedRecord& entry) {
  if (entry.record.damaged)
    append_damaged_json(out, entry.key);
  else
    append_record_json(out, entry.key, view_of(entry.record), ValueShown::yes);
}

// ["key",…] of a collection that is then deleted; answered when that is durable.
class DeleteStream final : public ReplyStream {
 public:
  DeleteStream(Exchange exchange, std::string collection)
      : exchange_(std::move(exchange)), collection_(std::move(collection)), keys_("[") {
    request_.with_values = false;
    request_.limits.records_max = keys_per_piece;
  }

  Next produce(std::string& out, Position& promises) override {
    Collection* collection = exchange_->database().find(collection_);
    if (collection == nullptr) return give(out, error_response(404, "the collection is gone"));
    request_.now = wall_now();
    auto slice = collection->scan(request_);
    if (!slice) return give(out, error_response(slice.error()));
    for (const KeyedRecord& entry : slice->records) {
      if (count_++ > 0) keys_ += ',';
      keys_ += json::is_utf8(entry.key) ? json::quoted(entry.key)
                                        : json::quoted(json::base64(entry.key));
    }
    if (count_ > deleted_keys_max || keys_.size() > exchange_->server().output_buffer_max / 2)
      return give(out, error_response(413,
                                      "too many keys to name in one reply; nothing was "
                                      "deleted; send the line `flush " +
                                          collection_ + "` instead"));
    if (!slice->next) return delete_now(out, promises);
    request_.from = std::move(*slice->next);
    return Next::piece;
  }

 private:
  Next delete_now(std::string& out, Position& promises) {
    Database& database = exchange_->database();
    const auto done = collection_ == default_collection ? database.flush(collection_)
                                                        : database.drop(collection_);
    if (!done) return give(out, error_response(done.error()));
    promises = *done;
    return give(out, {.status = 202, .body = keys_ + "]"});
  }
  Next give(std::string& out, const http::Response& response) {
    exchange_->append(out, response);
    return Next::end;
  }

  Exchange exchange_;
  std::string collection_;
  ScanRequest request_;
  std::string keys_;
  std::size_t count_ = 0;
};

// False: answered already, there is nothing to list or delete.
bool is_here(const Exchange& exchange, const std::string& name) {
  if (auto status = exchange->database().member(); !status) {
    exchange->respond(error_response(status.error()));
    return false;
  }
  if (!check_collection(name) || exchange->database().find(name) == nullptr) {
    routes::not_found(exchange);
    return false;
  }
  return true;
}

}  // namespace

namespace routes {

void get_collection(const Exchange& exchange, const std::string& name) {
  if (!is_here(exchange, name)) return;
  const HttpList::Format format{.content_type = std::string(json_type), .append = append_record};
  exchange->stream(std::make_unique<HttpList>(exchange, name, format));
}

void delete_collection(const Exchange& exchange, const std::string& name) {
  const auto conditions = HttpConditions::of(exchange->request());
  if (!conditions || !conditions->none())
    return exchange->respond(error_response(
        400,
        "a collection has no version: If-Match and If-None-Match are for keys; nothing was "
        "deleted"));
  if (is_here(exchange, name)) exchange->stream(std::make_unique<DeleteStream>(exchange, name));
}

}  // namespace routes

}  // namespace dhrt
