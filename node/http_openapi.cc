// The OpenAPI 3.0 document of http_routes(): nothing is written here that is not served.
#include <array>
#include <map>
#include <span>

#include "cluster/level_words.h"
#include "node/http_routes.h"
#include "protocol/http.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

// "/{key?}/{value?}" -> "/{1}/{2}": OpenAPI takes paths for the same that differ in names only.
std::string shape_of(std::string_view path) {
  std::string shape;
  int parameters = 0;
  bool inside = false;
  for (const char byte : path) {
    if (byte == '{') shape += "{" + std::to_string(++parameters);
    inside = byte == '{' || (inside && byte != '}');
    if (!inside) shape += byte;
  }
  return shape;
}

std::string without_question_marks(std::string_view path) {
  std::string name(path);
  std::erase(name, '?');
  return name;
}

void write_parameter(json::Writer& writer, std::string_view name, std::string_view in, bool must,
                     std::span<const std::string_view> words = {}) {
  writer.begin_object();
  writer.key("name").string(name);
  writer.key("in").string(in);
  writer.key("required").boolean(must);
  writer.key("schema").begin_object().key("type").string("string");
  if (!words.empty()) {
    writer.key("enum").begin_array();
    for (const std::string_view word : words)
      writer.string(word);
    writer.end_array();
  }
  writer.end_object();
  writer.end_object();
}

void write_path_parameters(json::Writer& writer, std::string_view path) {
  writer.key("parameters").begin_array();
  for (std::size_t at = path.find('{'); at != path.npos; at = path.find('{', at + 1)) {
    const std::size_t end = path.find_first_of("?}", at);
    write_parameter(writer, path.substr(at + 1, end - at - 1), "path", true);
  }
  writer.end_array();
}

void write_level_parameter(json::Writer& writer, const HttpRoute& route) {
  static const std::array read{to_text(ReadLevel::one), to_text(ReadLevel::fanout),
                               to_text(ReadLevel::quorum), to_text(ReadLevel::linear)};
  static const std::array write{to_text(WriteLevel::one), to_text(WriteLevel::quorum),
                                to_text(WriteLevel::all), to_text(WriteLevel::linear)};
  if (route.role == Role::read)
    write_parameter(writer, "X-Dhrt-Read", "header", false, read);
  else
    write_parameter(writer, "X-Dhrt-Ack", "header", false, write);
  write_parameter(writer, "X-Dhrt-Session", "header", false);
}

void write_operation(json::Writer& writer, const HttpRoute& route) {
  writer.begin_object();
  writer.key("summary").string(route.summary);
  writer.key("parameters").begin_array();
  for (std::string_view field : words_of(route.query)) {
    const bool must = !field.ends_with('?');
    if (!must) field.remove_suffix(1);
    write_parameter(writer, field, "query", must);
  }
  if (takes_levels(route)) write_level_parameter(writer, route);
  writer.end_array();
  if (!route.body_type.empty()) {
    writer.key("requestBody").begin_object().key("content").begin_object();
    writer.key(route.body_type).begin_object().end_object();
    writer.end_object().end_object();
  }
  writer.key("responses").begin_object();
  for (const std::string_view status : words_of(route.statuses)) {
    writer.key(status).begin_object();
    writer.key("description").string(http::reason_phrase(std::stoi(std::string(status))));
    writer.end_object();
  }
  writer.end_object().end_object();
}

std::string in_lower_case(std::string_view method) {
  std::string lower;
  for (const char byte : method)
    lower += static_cast<char>(byte - 'A' + 'a');
  return lower;
}

}  // namespace

std::string openapi_document() {
  std::map<std::string, std::vector<const HttpRoute*>> paths;  // By shape.
  for (const HttpRoute& route : http_routes())
    paths[shape_of(route.path)].push_back(&route);
  json::Writer writer;
  writer.begin_object();
  writer.key("openapi").string("3.0.3");
  writer.key("info").begin_object();
  writer.key("title").string("dhrt");
  writer.key("version").string(DHRT_VERSION).end_object();
  writer.key("paths").begin_object();
  for (const auto& [shape, routes] : paths) {
    writer.key(without_question_marks(routes.front()->path)).begin_object();
    write_path_parameters(writer, routes.front()->path);
    for (const HttpRoute* route : routes) {
      for (const std::string_view method : words_of(route->methods)) {
        writer.key(in_lower_case(method));
        write_operation(writer, *route);
      }
    }
    writer.end_object();
  }
  writer.end_object().end_object();
  return writer.take();
}

}  // namespace dhrt
