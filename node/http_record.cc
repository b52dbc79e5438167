#include "node/http_record.h"

#include <array>
#include <charconv>

#include "node/database.h"
#include "protocol/http_accept.h"
#include "protocol/json.h"
#include "protocol/limits.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

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
  if (accept.empty() || accept == "*/*") return false;  // As most clients have it.
  const http::Acceptance raw = http::acceptance_of(accept, any_bytes_type);
  const http::Acceptance json = http::acceptance_of(accept, json_type);
  if (raw.thousandths != json.thousandths) return raw.thousandths > json.thousandths;
  return raw.thousandths > 0 && raw.closeness == http::Acceptance::Closeness::itself;
}

Result<std::string> content_type_attribute(Bytes content_type) {
  if (content_type.empty()) return std::string();
  if (content_type.size() > content_type_bytes_max)
    return fail(ErrorCode::invalid_argument,
                "the content type has " + std::to_string(content_type.size()) +
                    " bytes, and is kept up to " + std::to_string(content_type_bytes_max) +
                    "; send a shorter one, or none");
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

void append_key_json(std::string& out, Bytes key) {
  out += '{';
  append_bytes(out, "Key", "KeyEncoding", key);
  out += '}';
}

}  // namespace dhrt
