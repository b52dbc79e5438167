#include <array>
#include <charconv>
#include <cstdio>
#include <functional>
#include <utility>

#include "node/command_input.h"
#include "node/http_conditions.h"
#include "node/http_handlers.h"
#include "node/http_record.h"
#include "node/levels.h"
#include "protocol/json.h"
#include "storage/base/random.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

// Version 4 of RFC 9562: 122 random bits.
std::string random_uuid() {
  const std::uint64_t high = (random_seed() & ~0xf000ULL) | 0x4000ULL;
  const std::uint64_t low = (random_seed() & ~(0xc0ULL << 56)) | (0x80ULL << 56);
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08llx-%04llx-%04llx-%04llx-%012llx",
                static_cast<unsigned long long>(high >> 32),
                static_cast<unsigned long long>((high >> 16) & 0xffff),
                static_cast<unsigned long long>(high & 0xffff),
                static_cast<unsigned long long>(low >> 48),
                static_cast<unsigned long long>(low & 0xffffffffffffULL));
  return text.data();
}

Status check_target(const HttpTarget& target) {
  if (auto status = check_collection(target.collection); !status) return status;
  return check_key(target.key);
}

Result<std::optional<std::uint64_t>> ttl_of(const http::Request& request) {
  for (const auto& [name, text] : http::query_fields(request.query)) {
    if (name != "ttl") continue;
    std::uint64_t milliseconds = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() ||
        milliseconds > (std::uint64_t{1} << 47))
      return fail(ErrorCode::invalid_argument, "ttl is a number of milliseconds, e.g. ?ttl=60000");
    return std::optional(milliseconds);
  }
  return std::optional<std::uint64_t>();
}

// 412; `held` is the version that is there.
void respond_unmet(const Exchange& exchange, const std::optional<Version>& held) {
  http::Response response = error_response(
      412, held ? "the version is " + to_text(*held) : std::string("there is no such key"));
  if (held) response.headers.push_back(etag_of(*held));
  exchange->respond(response);
}

void respond_record(const Exchange& exchange, Bytes key, const Record& record) {
  const auto conditions = HttpConditions::of(exchange->request());
  if (!conditions) return exchange->respond(error_response(conditions.error()));
  const int status = conditions->read_status(record.version);
  if (status == 412) return respond_unmet(exchange, record.version);
  http::Response response{.status = status, .headers = {etag_of(record.version)}};
  if (status == 304) {
    response.content_type.clear();
  } else if (wants_raw(exchange->request().list("accept"))) {
    response.content_type = find_attribute(record.attributes, attribute_content_type)
                                .value_or(std::string(any_bytes_type));
    response.body = record.value;
  } else {
    append_record_json(response.body, key, view_of(record), ValueShown::yes);
  }
  exchange->respond(response);
}

struct Storing {
  HttpTarget target;
  std::string value;
  Database::SetOptions options;
  ValueShown shown = ValueShown::no;
};

void respond_stored(const Exchange& exchange, const Storing& storing,
                    const Result<Written>& written) {
  if (!written) return exchange->respond(error_response(written.error()));
  exchange->saw(storing.target.collection, written->dot);
  const RecordView stored{
      .version = written->version, .created = written->created, .value = storing.value};
  http::Response response{.status = 201, .headers = {etag_of(written->version)}};
  append_record_json(response.body, storing.target.key, stored, storing.shown);
  exchange->respond(response, written->position);
}

// What is held here decided on the answer, a delete perhaps.
void saw_held(const Exchange& exchange, const HttpTarget& target) {
  Collection* const held =
      exchange->seen() ? exchange->database().find(target.collection) : nullptr;
  const auto record = held != nullptr ? held->find(target.key) : std::optional<Record>();
  if (record && *record) exchange->saw(target.collection, (*record)->dot);
}

// Runs `decided` when what is held here is good enough to decide on.
void settle(const Exchange& exchange, const HttpTarget& target, std::function<void()> decided) {
  Database& database = exchange->database();
  if (!database.asks_before_condition(target.collection, target.key)) return decided();
  exchange->wait();
  database.ask(target.collection, target.key,
               [exchange, target, decided = std::move(decided)](const FanoutReply& reply) {
                 const Status taken = reply.record
                                          ? exchange->database().take_in(target.collection,
                                                                         target.key, *reply.record)
                                          : Status();
                 if (!taken) return exchange->respond(error_response(taken.error()));
                 decided();
               });
}

// Writes if the request's conditions hold of what is there at that moment; answers 412 if not.
// `make` makes the change. Absent: it was answered.
std::optional<Written> write_if(const Exchange& exchange, const HttpTarget& target,
                                FunctionRef<void(Change&)> make) {
  const auto conditions = HttpConditions::of(exchange->request());
  bool allowed = false;
  std::optional<Version> found;
  const auto written = exchange->database().change(
      target.collection, HashedKey(target.key), [&](const RecordView* held, Change& change) {
        found = held != nullptr ? std::optional(held->version) : std::nullopt;
        allowed = conditions->allow_write(found ? &*found : nullptr);
        if (allowed) make(change);
        return allowed && (held != nullptr || !change.deletes);
      });
  if (!written) {
    exchange->respond(error_response(written.error()));
    return std::nullopt;
  }
  if (!allowed || !*written) saw_held(exchange, target);
  if (!allowed) respond_unmet(exchange, found);
  if (allowed && !*written) routes::not_found(exchange);
  return *written;
}

// Answers as `written` when the write reached its level.
void respond_at_level(const Exchange& exchange, const HttpTarget& target, const Levels::Made& made,
                      std::function<void()> written) {
  const WriteLevel level = exchange->levels().ack;
  if (level == WriteLevel::one) return written();
  exchange->wait();
  exchange->server().levels->reach(level, target.collection, made,
                                   [exchange, written = std::move(written)](const Status& status) {
                                     if (!status)
                                       return exchange->respond(error_response(status.error()));
                                     written();
                                   });
}

// False: it was answered. A condition is decided on one node, which is not what linear promises.
bool admit(const Exchange& exchange, std::size_t bytes) {
  const WriteLevel level = exchange->levels().ack;
  Status status = exchange->server().levels->admit(level, bytes);
  if (level == WriteLevel::linear)
    status = fail(ErrorCode::invalid_argument,
                  "a condition at level linear is not given by this version; at quorum it is "
                  "decided on one node");
  if (!status) exchange->respond(error_response(status.error()));
  return status.has_value();
}

void store_if(const Exchange& exchange, const Storing& storing) {
  const std::size_t bytes = storing.target.key.size() + storing.value.size();
  // Before the key is locked: who is asked for the configuration locks as well.
  Database& database = exchange->database();
  const std::uint64_t ttl = storing.options.ttl_milliseconds.value_or(
      database.config(storing.target.collection).ttl_milliseconds);
  const WallMilliseconds deadline = ttl == 0 ? 0 : database.wall() + ttl;
  const auto written = write_if(exchange, storing.target, [&](Change& change) {
    change = {
        .value = storing.value, .attributes = storing.options.attributes, .deadline = deadline};
  });
  if (!written) return;
  respond_at_level(exchange, storing.target, {written->dot, written->position, bytes},
                   [exchange, storing, written] { respond_stored(exchange, storing, *written); });
}

void store(const Exchange& exchange, Storing storing) {
  const auto ttl = ttl_of(exchange->request());
  if (!ttl) return exchange->respond(error_response(ttl.error()));
  storing.options.ttl_milliseconds = *ttl;
  const auto conditions = HttpConditions::of(exchange->request());
  if (!conditions) return exchange->respond(error_response(conditions.error()));
  const HttpTarget target = storing.target;  // A copy: it is moved below.
  if (auto status = check_target(target); !status)
    return exchange->respond(error_response(status.error()));
  if (auto status = check_value(storing.value, exchange->server().limits); !status)
    return exchange->respond(error_response(413, status.error().message));
  const WriteLevel level = exchange->levels().ack;
  if (conditions->none() && level == WriteLevel::one)
    return respond_stored(
        exchange, storing,
        exchange->database().set(target.collection, target.key, storing.value, storing.options));
  if (conditions->none()) {
    exchange->wait();
    const auto kept = std::make_shared<const Storing>(std::move(storing));
    return exchange->server().levels->set(level, target.collection, target.key, kept->value,
                                          kept->options,
                                          [exchange, kept](const Result<Written>& written) {
                                            respond_stored(exchange, *kept, written);
                                          });
  }
  if (!admit(exchange, target.key.size() + storing.value.size())) return;
  settle(exchange, target,
         [exchange, storing = std::move(storing)] { store_if(exchange, storing); });
}

void respond_deleted(const Exchange& exchange, Bytes key, Position position) {
  http::Response response{.status = 202};
  append_key_json(response.body, key);
  exchange->respond(response, position);
}

void delete_if(const Exchange& exchange, const HttpTarget& target) {
  const auto written = write_if(exchange, target, [](Change& change) { change.deletes = true; });
  if (!written) return;
  exchange->saw(target.collection, written->dot);
  respond_at_level(exchange, target, {written->dot, written->position, target.key.size()},
                   [exchange, key = target.key, position = written->position] {
                     respond_deleted(exchange, key, position);
                   });
}

bool names_collection(const Exchange& exchange, const std::string& word) {
  return check_collection(word).has_value() && exchange->database().find(word) != nullptr;
}

// Asks the cluster for the key that a word may mean besides a collection.
void ask_for_key(const Exchange& exchange, const std::string& word,
                 std::function<void(const Database::Found&)> decide) {
  if (auto status = exchange->database().member(); !status)
    return exchange->respond(error_response(status.error()));
  exchange->wait();
  exchange->server().levels->read(
      exchange->levels().read, default_collection, word,
      [exchange, decide = std::move(decide)](const Result<Database::Found>& found) {
        if (!found) return exchange->respond(error_response(found.error()));
        exchange->saw(default_collection, found->dot);
        decide(*found);
      });
}

}  // namespace

namespace routes {

// Both readers of older servers know this body, so it stays as it is.
void not_found(const Exchange& exchange) {
  const std::string& path = exchange->request().path;
  json::Writer writer;
  writer.begin_object();
  writer.key("Key").string("");
  writer.key("Value").string("");
  writer.key("error").string("No register handler for [" +
                             (json::is_utf8(path) ? path : std::string("?")) + "]");
  writer.end_object();
  exchange->respond({.status = 404, .body = writer.take()});
}

void get_key(const Exchange& exchange, HttpTarget target) {
  if (auto status = check_target(target); !status)
    return exchange->respond(error_response(status.error()));
  exchange->wait();
  exchange->server().levels->read(exchange->levels().read, target.collection, target.key,
                                  [exchange, target](const Result<Database::Found>& found) {
                                    if (!found)
                                      return exchange->respond(error_response(found.error()));
                                    exchange->saw(target.collection, found->dot);
                                    if (!found->record) return not_found(exchange);
                                    respond_record(exchange, target.key, *found->record);
                                  });
}

// A list of a collection is a stream, which needs its place among the replies before the key is
// asked for; so the collection decides first where there is no doubt.
void get_word(const Exchange& exchange, const std::string& word) {
  if (!names_collection(exchange, word))
    return get_key(exchange, {std::string(default_collection), word});
  ask_for_key(exchange, word, [exchange, word](const Database::Found& found) {
    if (found.record) return respond_record(exchange, word, *found.record);
    if (exchange->levels().read > ReadLevel::fanout)
      return exchange->respond(error_response(400, "a collection is read at no level"));
    get_collection(exchange, word);
  });
}

void put_key(const Exchange& exchange, HttpTarget target) {
  http::Request& request = exchange->request();
  Storing storing{.target = std::move(target), .value = std::move(request.body)};
  auto attributes = content_type_attribute(request.header("content-type"));
  if (!attributes) return exchange->respond(error_response(attributes.error()));
  storing.options.attributes = *std::move(attributes);
  store(exchange, std::move(storing));
}

void post_key(const Exchange& exchange, HttpTarget target, std::string value) {
  if (target.key.empty()) target.key = random_uuid();
  store(exchange,
        {.target = std::move(target), .value = std::move(value), .shown = ValueShown::yes});
}

void delete_key(const Exchange& exchange, HttpTarget target) {
  if (auto status = check_target(target); !status)
    return exchange->respond(error_response(status.error()));
  const auto conditions = HttpConditions::of(exchange->request());
  if (!conditions) return exchange->respond(error_response(conditions.error()));
  if (!conditions->none() && !admit(exchange, target.key.size())) return;
  if (!conditions->none())
    return settle(exchange, target, [exchange, target] { delete_if(exchange, target); });
  exchange->wait();
  exchange->server().levels->remove(exchange->levels().ack, target.collection, target.key,
                                    [exchange, target](const Result<Database::Removed>& removed) {
                                      if (!removed)
                                        return exchange->respond(error_response(removed.error()));
                                      exchange->saw(target.collection, removed->dot);
                                      if (!removed->existed) return not_found(exchange);
                                      respond_deleted(exchange, target.key, removed->position);
                                    });
}

void delete_word(const Exchange& exchange, const std::string& word) {
  if (!names_collection(exchange, word))
    return delete_key(exchange, {std::string(default_collection), word});
  ask_for_key(exchange, word, [exchange, word](const Database::Found& found) {
    const std::string choice = "delete /default/" + word + " or /" + word + "/";
    if (found.record)
      return exchange->respond(
          error_response(409, "both a key and a collection are called '" + word + "'; " + choice));
    // A node that may hold the key was silent: the word may mean either.
    if (found.partial)
      return exchange->respond(error_response(
          503, "not every node says whether there is a key '" + word + "'; " + choice));
    if (exchange->levels().ack != WriteLevel::one)
      return exchange->respond(error_response(400, "a collection is deleted at no level"));
    if (exchange->seen())
      return exchange->respond(
          error_response(400, "a collection is deleted in no session; leave X-Dhrt-Session out"));
    // More than the key that the path may have meant as well.
    if (exchange->may({.role = Role::admin, .collection = word}, "DELETE of a collection"))
      delete_collection(exchange, word);
  });
}

}  // namespace routes

}  // namespace dhrt
