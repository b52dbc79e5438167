// The OpenAPI 3.0 document of http_routes(): nothing is written here that is not served.
#include <map>
#include <set>
#include <span>
#include <vector>

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

struct Parameter {
  std::string_view name;
  std::string_view in;
  bool must = false;
  std::string_view description = {};
  std::vector<std::string_view> words = {};  // That it is one of; empty: any.
};

void write_parameter(json::Writer& writer, const Parameter& parameter) {
  writer.begin_object();
  writer.key("name").string(parameter.name);
  writer.key("in").string(parameter.in);
  writer.key("required").boolean(parameter.must);
  if (!parameter.description.empty()) writer.key("description").string(parameter.description);
  writer.key("schema").begin_object().key("type").string("string");
  if (!parameter.words.empty()) {
    writer.key("enum").begin_array();
    for (const std::string_view word : parameter.words)
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
    write_parameter(writer,
                    {.name = path.substr(at + 1, end - at - 1), .in = "path", .must = true});
  }
  writer.end_array();
}

// The fields of requests that change what is done. Accept, Content-Type and Authorization are none
// of them: OpenAPI has these as types of contents and as security, and ignores them as parameters.
std::vector<Parameter> fields_of(const HttpRoute& route) {
  std::vector<Parameter> fields;
  const bool deletes_word = route.place == HttpRoute::Place::word && route.role != Role::read;
  if (takes_levels(route) && (route.role == Role::read || deletes_word))
    fields.push_back({.name = "X-Dhrt-Read",
                      .in = "header",
                      .description = "How many nodes are asked for a key.",
                      .words = {to_text(ReadLevel::one), to_text(ReadLevel::fanout),
                                to_text(ReadLevel::quorum), to_text(ReadLevel::linear)}});
  if (takes_levels(route) && route.role != Role::read)
    fields.push_back({.name = "X-Dhrt-Ack",
                      .in = "header",
                      .description = "How many nodes must have the write durably.",
                      .words = {to_text(WriteLevel::one), to_text(WriteLevel::quorum),
                                to_text(WriteLevel::all), to_text(WriteLevel::linear)}});
  if (takes_levels(route))
    fields.push_back({.name = "X-Dhrt-Session",
                      .in = "header",
                      .description = "What the client has seen, as the last answer had it; empty: "
                                     "a session begins."});
  if (takes_conditions(route)) {
    const bool refused = !takes_levels(route);
    fields.push_back({.name = "If-Match",
                      .in = "header",
                      .description = refused
                                         ? "Refused: a collection has no version."
                                         : "Only if the key has one of these versions; *: any."});
    fields.push_back({.name = "If-None-Match",
                      .in = "header",
                      .description = refused
                                         ? "Refused: a collection has no version."
                                         : "Only if the key has none of these versions; *: none "
                                           "at all."});
  }
  if (route.place == HttpRoute::Place::third)
    fields.push_back({.name = "Last-Event-ID",
                      .in = "header",
                      .description = "Goes on behind this event; goes before `since`."});
  return fields;
}

// Those of its row, and those of its kind.
std::set<std::string_view> statuses_of(const HttpRoute& route) {
  const std::vector<std::string_view> own = words_of(route.statuses);
  std::set<std::string_view> statuses(own.begin(), own.end());
  const bool has_data = !collections_of(route, PathWords(3)).empty();
  statuses.insert("400");  // A path, a level or a session that is none.
  // A page of another origin, whatever it asks for but probes.
  if (!route.path.starts_with("/_/health/")) statuses.insert("403");
  // No token; too many wrong ones. Who has shown none sends no long bodies.
  if (route.role != Role::none || !route.body_type.empty()) statuses.insert({"401", "503"});
  if (has_data) statuses.insert({"500", "503"});  // The disk failed; the node is not ready.
  if (has_data && route.role >= Role::write) statuses.insert("507");
  return statuses;
}

void write_content(json::Writer& writer, std::string_view types, std::string_view schema) {
  writer.key("content").begin_object();
  for (const std::string_view type : words_of(types)) {
    writer.key(type).begin_object();
    if (!schema.empty())
      writer.key("schema").begin_object().key("$ref").string(schema).end_object();
    writer.end_object();
  }
  writer.end_object();
}

constexpr std::string_view error_schema = "#/components/schemas/Error";

void write_response(json::Writer& writer, const HttpRoute& route, std::string_view status) {
  const int number = std::stoi(std::string(status));
  writer.key(status).begin_object();
  writer.key("description").string(http::reason_phrase(number));
  // nkvd's own errors have its type, those of tokens and levels have ours.
  const bool is_nkvd = route.answer_types == "text/json";
  if (number >= 400)
    write_content(writer, is_nkvd ? "application/json text/json" : "application/json",
                  error_schema);
  else if (number != 204 && number != 304)
    write_content(writer, number == 200 ? route.answer_types : "application/json", {});
  writer.end_object();
}

void write_security(json::Writer& writer, const HttpRoute& route) {
  writer.key("security").begin_array();
  if (route.role != Role::none) {
    for (const std::string_view scheme : {"bearer", "basic"}) {
      writer.begin_object().key(scheme).begin_array().end_array();
      writer.end_object();
    }
  }
  writer.end_array();
}

void write_operation(json::Writer& writer, const HttpRoute& route) {
  writer.begin_object();
  writer.key("summary").string(route.summary);
  if (route.role != Role::none)
    writer.key("description")
        .string("Where tokens are asked for: takes the role " + std::string(to_text(route.role)) +
                ".");
  write_security(writer, route);
  writer.key("parameters").begin_array();
  for (std::string_view field : words_of(route.query)) {
    const bool must = !field.ends_with('?');
    if (!must) field.remove_suffix(1);
    write_parameter(writer, {.name = field, .in = "query", .must = must});
  }
  for (const Parameter& field : fields_of(route))
    write_parameter(writer, field);
  writer.end_array();
  if (!route.body_type.empty()) {
    writer.key("requestBody").begin_object();
    write_content(writer, route.body_type, {});
    writer.end_object();
  }
  writer.key("responses").begin_object();
  for (const std::string_view status : statuses_of(route))
    write_response(writer, route, status);
  writer.key("default").begin_object();
  writer.key("description").string("HTTP itself: 408, 413, 414, 431, 501 or 505.");
  write_content(writer, "application/json", error_schema);
  writer.end_object().end_object().end_object();
}

// What operations name.
void write_components(json::Writer& writer) {
  writer.key("components").begin_object();
  writer.key("securitySchemes").begin_object();
  for (const std::string_view scheme : {"bearer", "basic"}) {
    writer.key(scheme).begin_object();
    writer.key("type").string("http");
    writer.key("scheme").string(scheme);
    writer.key("description")
        .string(scheme == "basic" ? "The token is the password, whatever the user's name is."
                                  : "A token of --token-file or --auth-file.");
    writer.end_object();
  }
  writer.end_object();
  writer.key("responses").begin_object().key("MethodNotAllowed").begin_object();
  writer.key("description").string("405: the path takes other methods, which Allow names.");
  write_content(writer, "application/json", error_schema);
  writer.end_object().end_object();
  writer.key("schemas").begin_object().key("Error").begin_object();
  writer.key("type").string("object");
  writer.key("required").begin_array().string("error").end_array();
  writer.key("properties").begin_object().key("error").begin_object();
  writer.key("type").string("string").end_object().end_object();
  writer.end_object().end_object().end_object();
}

std::string in_lower_case(std::string_view method) {
  std::string lower;
  for (const char byte : method)
    lower += static_cast<char>(byte - 'A' + 'a');
  return lower;
}

}  // namespace

constexpr std::string_view other_methods =
    "HEAD is taken where GET is, OPTIONS everywhere. Other methods are answered 405 "
    "(#/components/responses/MethodNotAllowed).";

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
    writer.key("description").string(other_methods);
    write_path_parameters(writer, routes.front()->path);
    for (const HttpRoute* route : routes) {
      for (const std::string_view method : words_of(route->methods)) {
        writer.key(in_lower_case(method));
        write_operation(writer, *route);
      }
    }
    writer.end_object();
  }
  writer.end_object();
  write_components(writer);
  writer.end_object();
  return writer.take();
}

}  // namespace dhrt
