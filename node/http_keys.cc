#include <array>
#include <charconv>
#include <cstdio>
#include <functional>
#include <utility>

#include "node/command_input.h"
#include "node/http_handlers.h"
#include "protocol/json.h"
#include "storage/base/random.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

constexpr std::size_t content_type_bytes_max = 255;

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

// A wall-clock time, as nanoseconds.
void append_time(std::string& out, WallMilliseconds time) {
  append_number(out, time);
  if (time != 0) out += "000000";
}

// "Name":"text", and what says how it is encoded if it is not text.
void append_bytes(std::string& out, Bytes name, Bytes encoding_name, Bytes bytes) {
  out.append("\"").append(name).append("\":");
  if (json::is_utf8(bytes)) return json::append_quoted(out, bytes);
  out.append("\"").append(json::base64(bytes)).append("\",\"");
  out.append(encoding_name).append("\":\"base64\"");
}

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

http::Header etag_of(const Version& version) {
  return {"ETag", "\"" + to_text(version) + "\""};
}

void respond_record(const Exchange& exchange, Bytes key, const Record& record) {
  http::Response response{.headers = {etag_of(record.version)}};
  if (wants_raw(exchange->request().header("accept"))) {
    response.content_type = find_attribute(record.attributes, attribute_content_type)
                                .value_or("application/octet-stream");
    response.body = record.value;
  } else {
    append_record_json(response.body, key, view_of(record), ValueShown::yes);
  }
  exchange->respond(response);
}

void store(const Exchange& exchange, const HttpTarget& target, Bytes value, std::string attributes,
           ValueShown shown) {
  const auto ttl = ttl_of(exchange->request());
  if (!ttl) return exchange->respond(error_response(ttl.error()));
  if (auto status = check_target(target); !status)
    return exchange->respond(error_response(status.error()));
  if (auto status = check_value(value, exchange->server().limits); !status)
    return exchange->respond(error_response(413, status.error().message));
  const Database::SetOptions options{.ttl_milliseconds = *ttl, .attributes = std::move(attributes)};
  const auto written = exchange->database().set(target.collection, target.key, value, options);
  if (!written) return exchange->respond(error_response(written.error()));
  const RecordView stored{.version = written->version, .created = written->created, .value = value};
  http::Response response{.status = 201, .headers = {etag_of(written->version)}};
  append_record_json(response.body, target.key, stored, shown);
  exchange->respond(response, written->position);
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
  exchange->database().read(
      default_collection, word, Database::ReadFrom::cluster,
      [exchange, decide = std::move(decide)](const Result<Database::Found>& found) {
        if (!found) return exchange->respond(error_response(found.error()));
        decide(*found);
      });
}

}  // namespace

void append_record_json(std::string& out, Bytes key, const RecordView& record, Bytes version,
                        ValueShown value) {
  const WallMilliseconds updated = hlc_milliseconds(record.version.hlc);
  out += '{';
  append_bytes(out, "Key", "KeyEncoding", key);
  if (value == ValueShown::yes) {
    out += ',';
    append_bytes(out, "Value", "Encoding", record.value);
  }
  out.append(",\"Version\":\"").append(version).append("\",\"Created\":");
  append_time(out, record.created != 0 ? record.created : updated);
  out += ",\"Updated\":";
  append_time(out, updated);
  out += '}';
}

void append_record_json(std::string& out, Bytes key, const RecordView& record, ValueShown value) {
  append_record_json(out, key, record, VersionText(record.version).bytes(), value);
}

void append_damaged_json(std::string& out, Bytes key) {
  out += '{';
  append_bytes(out, "Key", "KeyEncoding", key);
  out += ",\"error\":\"the value is damaged; GET the key to read what to do\"}";
}

bool wants_raw(Bytes accept) {
  return accept.find("application/octet-stream") != Bytes::npos;
}

std::string content_type_attribute(Bytes content_type) {
  if (content_type.empty() || content_type.size() > content_type_bytes_max) return {};
  return with_attribute({}, attribute_content_type, content_type);
}

void append_record_response(std::string& out, int status, Bytes content_type, Bytes version,
                            Bytes body) {
  out += status == 201 ? Bytes("HTTP/1.1 201 Created\r\n") : Bytes("HTTP/1.1 200 OK\r\n");
  out.append("Content-Type: ").append(content_type).append("\r\nETag: \"");
  out += version;
  out += "\"\r\nContent-Length: ";
  append_number(out, body.size());
  out.append("\r\n\r\n").append(body);
}

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
  exchange->database().read(target.collection, target.key, Database::ReadFrom::cluster,
                            [exchange, key = target.key](const Result<Database::Found>& found) {
                              if (!found) return exchange->respond(error_response(found.error()));
                              if (!found->record) return not_found(exchange);
                              respond_record(exchange, key, *found->record);
                            });
}

// A list of a collection is a stream, which needs its place among the replies before the key is
// asked for; so the collection decides first where there is no doubt.
void get_word(const Exchange& exchange, const std::string& word) {
  if (!names_collection(exchange, word))
    return get_key(exchange, {std::string(default_collection), word});
  ask_for_key(exchange, word, [exchange, word](const Database::Found& found) {
    if (found.record) return respond_record(exchange, word, *found.record);
    get_collection(exchange, word);
  });
}

void put_key(const Exchange& exchange, HttpTarget target) {
  http::Request& request = exchange->request();
  store(exchange, target, request.body, content_type_attribute(request.header("content-type")),
        ValueShown::no);
}

void post_key(const Exchange& exchange, HttpTarget target, std::string value) {
  if (target.key.empty()) target.key = random_uuid();
  store(exchange, target, value, {}, ValueShown::yes);
}

void delete_key(const Exchange& exchange, HttpTarget target) {
  if (auto status = check_target(target); !status)
    return exchange->respond(error_response(status.error()));
  exchange->wait();
  exchange->database().remove(
      target.collection, target.key,
      [exchange, key = target.key](const Result<Database::Removed>& removed) {
        if (!removed) return exchange->respond(error_response(removed.error()));
        if (!removed->existed) return not_found(exchange);
        std::string body = "{";
        append_bytes(body, "Key", "KeyEncoding", key);
        body += '}';
        exchange->respond({.status = 202, .body = std::move(body)}, removed->position);
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
    delete_collection(exchange, word);
  });
}

}  // namespace routes

}  // namespace dhrt
