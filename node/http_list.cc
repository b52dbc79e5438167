#include "node/http_list.h"

#include <utility>

#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr std::size_t records_per_piece = 1024;
constexpr std::size_t bytes_per_piece = std::size_t{256} << 10;

}  // namespace

HttpList::HttpList(Exchange exchange, std::string collection, Format format)
    : exchange_(std::move(exchange)),
      collection_(std::move(collection)),
      format_(std::move(format)) {
  request_.limits = {.records_max = records_per_piece, .bytes_max = bytes_per_piece};
  request_.with_values = format_.with_values;
}

ReplyStream::Next HttpList::produce(std::string& out, Position&) {
  const http::Request& request = exchange_->request();
  std::string piece;
  const bool begins = !begun_;
  if (begins) piece += '[';
  const Next next = exchange_->is_head() ? Next::end : append_slice(piece);
  if (next == Next::broken && begins) {
    exchange_->append(out, error_response(500, "the collection cannot be read"));
    return Next::end;
  }
  if (next == Next::broken) return next;
  if (begins) exchange_->append_chunked_head(out, {.content_type = format_.content_type});
  begun_ = true;
  if (exchange_->is_head()) return next;
  if (next == Next::end) piece += ']';
  if (!piece.empty()) http::append_chunk(out, piece, request);
  if (next == Next::end) http::append_last_chunk(out, request);
  return next;
}

// A collection that was dropped meanwhile has no more records.
ReplyStream::Next HttpList::append_slice(std::string& piece) {
  Collection* collection = exchange_->database().find(collection_);
  if (collection == nullptr) return Next::end;
  request_.now = wall_now();
  auto slice = collection->scan(request_);
  if (!slice) return Next::broken;
  for (const KeyedRecord& entry : slice->records) {
    if (!first_) piece += ',';
    first_ = false;
    format_.append(piece, entry);
  }
  if (!slice->next) return Next::end;
  request_.from = std::move(*slice->next);
  return Next::piece;
}

}  // namespace dhrt
