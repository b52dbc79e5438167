#include <algorithm>
#include <array>
#include <charconv>

#include "protocol/http.h"

namespace dhrt::http {

namespace {

struct Phrase {
  int status;
  Bytes text;
};

constexpr std::array phrases{
    Phrase{200, "OK"},
    Phrase{201, "Created"},
    Phrase{202, "Accepted"},
    Phrase{204, "No Content"},
    Phrase{206, "Partial Content"},
    Phrase{301, "Moved Permanently"},
    Phrase{302, "Found"},
    Phrase{303, "See Other"},
    Phrase{304, "Not Modified"},
    Phrase{307, "Temporary Redirect"},
    Phrase{308, "Permanent Redirect"},
    Phrase{400, "Bad Request"},
    Phrase{401, "Unauthorized"},
    Phrase{403, "Forbidden"},
    Phrase{404, "Not Found"},
    Phrase{405, "Method Not Allowed"},
    Phrase{406, "Not Acceptable"},
    Phrase{408, "Request Timeout"},
    Phrase{409, "Conflict"},
    Phrase{410, "Gone"},
    Phrase{412, "Precondition Failed"},
    Phrase{413, "Content Too Large"},
    Phrase{414, "URI Too Long"},
    Phrase{415, "Unsupported Media Type"},
    Phrase{417, "Expectation Failed"},
    Phrase{421, "Misdirected Request"},
    Phrase{429, "Too Many Requests"},
    Phrase{431, "Request Header Fields Too Large"},
    Phrase{500, "Internal Server Error"},
    Phrase{501, "Not Implemented"},
    Phrase{502, "Bad Gateway"},
    Phrase{503, "Service Unavailable"},
    Phrase{504, "Gateway Timeout"},
    Phrase{505, "HTTP Version Not Supported"},
    Phrase{507, "Insufficient Storage"},
};
static_assert(std::ranges::is_sorted(phrases, {}, &Phrase::status));  // reason_phrase bisects.

std::optional<unsigned> hex_pair(Bytes text) {
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != 2 || parsed.ptr != text.data() + 2) return {};
  return value;
}

// Absent: an escape is malformed and `lenient` does not keep it as it is.
std::optional<std::string> percent_decoded(Bytes text, bool lenient) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto value = text[i] == '%' ? hex_pair(text.substr(i + 1, 2)) : std::nullopt;
    if (value) {
      out += static_cast<char>(*value);
      i += 2;
    } else if (text[i] != '%' || lenient) {
      out += text[i];
    } else {
      return {};
    }
  }
  return out;
}

std::string query_decoded(Bytes text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return percent_decoded(spaced, true).value_or("");
}

void append_header(std::string& out, Bytes name, Bytes value) {
  const std::size_t start = out.size();
  out += name;
  out += ": ";
  out += value;
  // A line break would begin another header.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
      [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  out += "\r\n";
}

void append_head(std::string& out, const Response& response) {
  out += "HTTP/1.1 ";
  out += std::to_string(response.status);
  out += ' ';
  out += reason_phrase(response.status);
  out += "\r\n";
  if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers)
    append_header(out, name, value);
}

void append_connection(std::string& out, const Request& request, bool keep_alive) {
  if (!keep_alive) append_header(out, "Connection", "close");
  if (keep_alive && request.version_minor == 0) append_header(out, "Connection", "keep-alive");
}

bool has_no_content(int status) {
  return status == 204 || status == 304;
}

}  // namespace

Bytes reason_phrase(int status) {
  const auto* found = std::ranges::lower_bound(phrases, status, {}, &Phrase::status);
  return found != phrases.end() && found->status == status ? found->text : Bytes("Unknown");
}

std::optional<std::vector<std::string>> path_segments(Bytes path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const std::size_t end = path.find('/');
    auto segment = percent_decoded(path.substr(0, end), false);
    if (!segment) return {};
    segments.push_back(std::move(*segment));
    if (end == Bytes::npos) return segments;
    path.remove_prefix(end + 1);
  }
}

std::vector<std::pair<std::string, std::string>> query_fields(Bytes query) {
  std::vector<std::pair<std::string, std::string>> fields;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const Bytes field = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (field.empty()) continue;
    const std::size_t equals = std::min(field.find('='), field.size());
    const Bytes value = field.substr(std::min(equals + 1, field.size()));
    fields.emplace_back(query_decoded(field.substr(0, equals)), query_decoded(value));
  }
  return fields;
}

void append_response(std::string& out, const Response& response, const Request& request) {
  append_head(out, response);
  if (!has_no_content(response.status))
    append_header(out, "Content-Length", std::to_string(response.body.size()));
  append_connection(out, request, request.keep_alive);
  out += "\r\n";
  if (!has_no_content(response.status) && request.method != "HEAD") out += response.body;
}

void append_chunked_head(std::string& out, const Response& response, const Request& request) {
  append_head(out, response);
  if (request.version_minor > 0) append_header(out, "Transfer-Encoding", "chunked");
  append_connection(out, request, request.keep_alive && request.version_minor > 0);
  out += "\r\n";
}

void append_chunk(std::string& out, Bytes bytes, const Request& request) {
  if (bytes.empty() || request.method == "HEAD") return;  // An empty chunk would end the body.
  if (request.version_minor == 0) {
    out += bytes;
    return;
  }
  char digits[16];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), bytes.size(), 16).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
  out += "\r\n";
  out += bytes;
  out += "\r\n";
}

void append_last_chunk(std::string& out, const Request& request) {
  if (request.version_minor > 0 && request.method != "HEAD") out += "0\r\n\r\n";
}

}  // namespace dhrt::http
