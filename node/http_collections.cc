#include <utility>

#include "node/command_input.h"
#include "node/http_handlers.h"
#include "protocol/json.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr std::size_t records_per_piece = 1024;
constexpr std::size_t bytes_per_piece = std::size_t{256} << 10;
// A deleted collection is answered with its keys, which are held until all are known.
constexpr std::size_t deleted_keys_max = 1048576;

// [record,record,…] in chunks, read slice by slice as the client takes them.
class RecordsStream final : public ReplyStream {
 public:
  RecordsStream(Exchange exchange, std::string collection)
      : exchange_(std::move(exchange)), collection_(std::move(collection)) {
    request_.limits = {.records_max = records_per_piece, .bytes_max = bytes_per_piece};
  }

  Next produce(std::string& out, Position&) override {
    const http::Request& request = exchange_->request();
    std::string piece;
    const bool begins = !begun_;
    if (begins) piece += '[';
    const Next next = exchange_->is_head() ? Next::end : append_slice(piece);
    if (next == Next::broken && begins) {
      http::append_response(out, error_response(500, "the collection cannot be read"), request);
      return Next::end;
    }
    if (next == Next::broken) return next;
    if (begins) http::append_chunked_head(out, {}, request);
    begun_ = true;
    if (exchange_->is_head()) return next;
    if (next == Next::end) piece += ']';
    if (!piece.empty()) http::append_chunk(out, piece, request);
    if (next == Next::end) http::append_last_chunk(out, request);
    return next;
  }

 private:
  // A collection that was dropped meanwhile has no more records.
  Next append_slice(std::string& piece) {
    Collection* collection = exchange_->database().find(collection_);
    if (collection == nullptr) return Next::end;
    request_.now = wall_now();
    auto slice = collection->scan(request_);
    if (!slice) return Next::broken;
    for (const KeyedRecord& entry : slice->records) {
      if (!first_) piece += ',';
      first_ = false;
      if (entry.record.damaged)
        append_damaged_json(piece, entry.key);
      else
        append_record_json(piece, entry.key, view_of(entry.record), ValueShown::yes);
    }
    if (!slice->next) return Next::end;
    request_.from = std::move(*slice->next);
    return Next::piece;
  }

  Exchange exchange_;
  std::string collection_;
  ScanRequest request_;
  bool begun_ = false;
  bool first_ = true;
};

// ["key",…] of a collection that is then deleted; answered when that is durable.
class DeleteStream final : public ReplyStream {
 public:
  DeleteStream(Exchange exchange, std::string collection)
      : exchange_(std::move(exchange)), collection_(std::move(collection)), keys_("[") {
    request_.with_values = false;
    request_.limits.records_max = records_per_piece;
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
    http::append_response(out, response, exchange_->request());
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
  if (is_here(exchange, name)) exchange->stream(std::make_unique<RecordsStream>(exchange, name));
}

void delete_collection(const Exchange& exchange, const std::string& name) {
  if (is_here(exchange, name)) exchange->stream(std::make_unique<DeleteStream>(exchange, name));
}

}  // namespace routes

}  // namespace dhrt
