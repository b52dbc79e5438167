#include "node/http_fast.h"

#include "node/command_input.h"
#include "node/http_handlers.h"
#include "node/http_protocol.h"
#include "node/http_record.h"
#include "node/http_routes.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

// What is shown is locked: making JSON of a megabyte would hold up others.
constexpr std::size_t value_bytes_max = std::size_t{64} << 10;

}  // namespace

std::size_t HttpFast::take(Bytes input) {
  const auto request = http::recognise(input, server_.limits);
  if (!request || !serve(*request)) return 0;
  ++server_.figures.of(ClientDialect::http).commands_total;
  return request->end;
}

bool HttpFast::host_is_ours(Bytes host) {
  if (host == host_ && !host.empty()) return true;
  if (!dhrt::host_is_ours(host, rules_)) return false;
  host_ = host;
  return true;
}

bool HttpFast::serve(const http::FastRequest& request) {
  const bool is_word = request.collection.empty();
  const Bytes collection = is_word ? default_collection : request.collection;
  if (is_reserved_word(is_word ? request.key : collection) || !host_is_ours(request.host))
    return false;
  if (!valid_collection_name(collection) || request.key.size() > key_bytes_max) return false;
  // One word may be the name of a collection, too.
  if (is_word && !request.puts && server_.database.find(request.key) != nullptr) return false;
  const Database::Place place = server_.database.place(collection);
  return request.puts ? put(request, place) : get(request, place);
}

bool HttpFast::get(const http::FastRequest& request, const Database::Place& place) {
  const bool raw = wants_raw(request.accept);
  bool given = false;
  const bool known =
      server_.database.read_at_once(place, HashedKey(request.key), [&](const RecordView* record) {
        if (record == nullptr || (raw && !record->attributes.empty())) return;
        if (record->value.size() > value_bytes_max) return;
        given = true;
        const VersionText version(record->version);
        std::string& json = server_.scratch;
        json.clear();
        if (!raw) append_record_json(json, request.key, *record, version.bytes(), ValueShown::yes);
        append_record_response(session_.open_reply(0), 200, raw ? any_bytes_type : json_type,
                               version.bytes(), raw ? record->value : Bytes(json));
      });
  return known && given;
}

bool HttpFast::put(const http::FastRequest& request, const Database::Place& place) {
  if (place.collection == nullptr) return false;
  const auto attributes = content_type_attribute(request.content_type);
  if (!attributes) return false;  // It is refused, and explained, there.
  const auto written = server_.database.set_at_once(place, HashedKey(request.key), request.body,
                                                    *attributes, Database::Tells::created);
  if (!written) return false;  // It fails once more there, and is explained.
  const VersionText version(written->version);
  std::string& json = server_.scratch;
  json.clear();
  append_record_json(json, request.key, {.version = written->version, .created = written->created},
                     version.bytes(), ValueShown::no);
  append_record_response(session_.open_reply(written->position), 201, json_type, version.bytes(),
                         json);
  return true;
}

}  // namespace dhrt
