// The routes of nkvd, on the default collection; its error words, its limits, its content type.
//
// What nkvd got wrong for keys like `toString` is right here; HEAD changes nothing.
#include <algorithm>
#include <functional>
#include <optional>

#include "node/http_handlers.h"
#include "node/http_list.h"
#include "node/nkvd_mesh.h"
#include "protocol/json.h"
#include "protocol/utf8.h"
#include "storage/record_codec.h"

namespace dhrt::routes {

namespace {

constexpr const char* nkvd_type = "text/json";
using nkvd::key_length_max;
using nkvd::value_length_max;

void give(const Exchange& exchange, std::string body, Position position = 0) {
  exchange->respond({.content_type = nkvd_type, .body = std::move(body)}, position);
}

// What only dhrt says: who asks must not take it for a node of nkvd.
void give_as_dhrt(const Exchange& exchange, std::string body) {
  exchange->respond(
      {.content_type = nkvd_type,
       .headers = {{"X-Dhrt-Node", std::to_string(exchange->server().report.own_id())}},
       .body = std::move(body)});
}

void succeed(const Exchange& exchange, Position position = 0) {
  give(exchange, R"({"success":true})", position);
}

void refuse(const Exchange& exchange, int status, const std::string& code) {
  exchange->respond({.status = status,
                     .content_type = nkvd_type,
                     .body = "{\"error\":" + json::quoted(code) + "}"});
}

// An error that nkvd does not have.
void refuse(const Exchange& exchange, const Error& error) {
  http::Response response = error_response(error);
  response.content_type = nkvd_type;
  exchange->respond(response);
}

// Of a field that stands there several times: all its values, with commas between.
std::optional<std::string> field_of(const http::Request& request, Bytes wanted) {
  std::optional<std::string> value;
  for (const auto& [name, text] : http::query_fields(request.query)) {
    if (name != wanted) continue;
    if (value)
      *value += "," + to_utf8(text);
    else
      value = to_utf8(text);
  }
  return value;
}

// Absent: it was answered.
std::optional<std::string> key_of(const Exchange& exchange) {
  auto key = field_of(exchange->request(), "k");
  const char* error = nullptr;
  if (!key)
    error = "MISSING_KEY_PARAM";
  else if (key->empty())
    error = "EMPTY_KEY";
  else if (utf16_length(*key) >= key_length_max)
    error = "MAXIMUM_KEY_LENGTH_REACHED";
  if (error == nullptr) return key;
  refuse(exchange, 400, error);
  return std::nullopt;
}

std::optional<std::string> value_of(const Exchange& exchange) {
  auto value = field_of(exchange->request(), "v");
  const char* error = nullptr;
  if (!value)
    error = "MISSING_VALUE_PARAM";
  else if (utf16_length(*value) >= value_length_max)
    error = "MAXIMUM_VALUE_LENGTH_REACHED";
  if (error == nullptr) return value;
  refuse(exchange, 400, error);
  return std::nullopt;
}

// What a record is marked with that nodes of nkvd are not to get; empty: they are.
std::string attributes_of(const Exchange& exchange) {
  const auto wish = field_of(exchange->request(), "noReplicate");
  if (!wish || wish->empty()) return {};
  return with_attribute({}, attribute_not_for_nkvd, "");
}

// `found` with the record, if the key is there.
void find(const Exchange& exchange, void (*found)(const Exchange&, const Record&)) {
  const auto key = key_of(exchange);
  if (!key) return;
  exchange->wait();
  exchange->database().read(default_collection, *key, Database::ReadFrom::cluster,
                            [exchange, found](const Result<Database::Found>& result) {
                              if (!result) return refuse(exchange, result.error());
                              if (!result->record) return refuse(exchange, 404, "MISSING_RECORD");
                              found(exchange, *result->record);
                            });
}

// These change data by GET, which an image of any page may ask for. Browsers tell where a request
// comes from, but not to addresses without TLS; such requests have to be POST. True: refused.
bool is_of_unknown_page(const Exchange& exchange) {
  const http::Request& request = exchange->request();
  const bool may_be = request.method == "GET" &&
                      request.header("user-agent").starts_with("Mozilla/") &&
                      request.header("sec-fetch-site").empty() && request.header("origin").empty();
  if (may_be)
    exchange->respond(error_response(
        403, "a browser does not say which page asks for this; use POST, or another client"));
  return may_be;
}

void append_text(std::string& out, Bytes bytes) {
  json::append_quoted(out, to_utf8(bytes));
}

void append_value(std::string& out, const Record& record) {
  if (record.damaged)
    out += "null";
  else
    append_text(out, record.value);
}

}  // namespace

void nkvd_set(const Exchange& exchange) {
  if (is_of_unknown_page(exchange)) return;
  const auto key = key_of(exchange);
  if (!key) return;
  const auto value = value_of(exchange);
  if (!value) return;
  if (exchange->is_head()) return succeed(exchange);
  const auto written = exchange->database().set(default_collection, *key, *value,
                                                {.attributes = attributes_of(exchange)});
  if (!written) return refuse(exchange, written.error());
  succeed(exchange, written->position);
}

void nkvd_get(const Exchange& exchange) {
  find(exchange, [](const Exchange& asking, const Record& record) {
    std::string body;
    append_value(body, record);
    give(asking, std::move(body));
  });
}

void nkvd_is(const Exchange& exchange) {
  find(exchange, [](const Exchange& asking, const Record&) { succeed(asking); });
}

void nkvd_rm(const Exchange& exchange) {
  if (is_of_unknown_page(exchange)) return;
  if (exchange->is_head()) return nkvd_is(exchange);
  const auto key = key_of(exchange);
  if (!key) return;
  exchange->wait();
  exchange->database().remove(default_collection, *key, {.attributes = attributes_of(exchange)},
                              [exchange](const Result<Database::Removed>& removed) {
                                if (!removed) return refuse(exchange, removed.error());
                                if (!removed->existed)
                                  return refuse(exchange, 404, "MISSING_RECORD");
                                succeed(exchange, removed->position);
                              });
}

void nkvd_clear(const Exchange& exchange) {
  if (is_of_unknown_page(exchange)) return;
  const Database& database = exchange->database();
  const auto status = exchange->is_head() ? database.member() : database.writable();
  if (!status) return refuse(exchange, status.error());
  const bool empty = exchange->database().find(default_collection) == nullptr;
  if (exchange->is_head() || empty) return succeed(exchange);
  const auto flushed = attributes_of(exchange).empty()
                           ? exchange->database().flush(default_collection)
                           : exchange->database().flush_here(default_collection);
  if (!flushed) return refuse(exchange, flushed.error());
  succeed(exchange, *flushed);
}

void nkvd_list(const Exchange& exchange, NkvdList what) {
  if (auto status = exchange->database().member(); !status) return refuse(exchange, status.error());
  HttpList::Format format{.content_type = nkvd_type, .with_values = what != NkvdList::keys};
  if (what == NkvdList::keys)
    format.append = [](std::string& out, const KeyedRecord& entry) { append_text(out, entry.key); };
  if (what == NkvdList::values)
    format.append = [](std::string& out, const KeyedRecord& entry) {
      append_value(out, entry.record);
    };
  if (what == NkvdList::pairs)
    format.append = [](std::string& out, const KeyedRecord& entry) {
      out += "{\"k\":";
      append_text(out, entry.key);
      out += ",\"v\":";
      append_value(out, entry.record);
      out += '}';
    };
  exchange->stream(std::make_unique<HttpList>(exchange, std::string(default_collection), format));
}

void nkvd_health(const Exchange& exchange) {
  give(exchange, R"({"status":"ok"})");
}

void nkvd_status(const Exchange& exchange) {
  const Address own = exchange->server().report.own_address();
  Collection* collection = exchange->database().find(default_collection);
  CountCursor from;
  if (collection != nullptr) collection->settle_counts(from, 512);
  json::Writer writer;
  writer.begin_object();
  writer.key("version").string(DHRT_VERSION);
  writer.key("hostname").string(to_utf8(own.host));
  writer.key("port").number(std::uint64_t{own.port});
  writer.key("maxKeyLength").number(std::uint64_t{key_length_max});
  writer.key("maxValueLength").number(std::uint64_t{value_length_max});
  writer.key("availableRecords");
  writer.number(collection == nullptr ? std::uint64_t{0} : collection->counts().live);
  writer.end_object();
  give_as_dhrt(exchange, writer.take());
}

namespace {

void write_node(json::Writer& writer, const Address& address, bool is_down, Bytes source) {
  writer.begin_object();
  writer.key("host").string(to_utf8(address.host));
  writer.key("port").number(std::uint64_t{address.port});
  writer.key("isDown").boolean(is_down);
  writer.key("source").string(source);
  writer.end_object();
}

// False: it was answered. Whoever names a node makes us call it: with tokens an administrator.
bool may_name(const Exchange& exchange, const NkvdBoard::Picture& mesh,
              const std::vector<Address>& named) {
  const auto is_known = [&](const Address& address) {
    return address == mesh.gateway || std::ranges::count(mesh.others, address) > 0 ||
           std::ranges::count(mesh.nodes, address, &NkvdBoard::Node::address) > 0;
  };
  if (std::ranges::all_of(named, is_known)) return true;
  return !is_of_unknown_page(exchange) &&
         exchange->may({.role = Role::admin}, "a new node in GET /ping");
}

}  // namespace

// The nodes of a mesh of nkvd, and the one of dhrt that stands for all; without a mesh, this node.
void nkvd_ping(const Exchange& exchange) {
  const NkvdBoard* const board = exchange->server().nkvd;
  json::Writer writer;
  writer.begin_object().key("nodes").begin_array();
  if (board == nullptr) {
    write_node(writer, exchange->server().report.own_address(), false, "init");
  } else {
    const auto mesh = board->get();
    const auto named = nkvd::parse_nodes(field_of(exchange->request(), "nodes").value_or(""));
    if (!may_name(exchange, *mesh, named)) return;
    if (!named.empty() && !exchange->is_head()) board->learn(named);
    if (mesh->gateway) write_node(writer, *mesh->gateway, false, "init");
    for (const NkvdBoard::Node& node : mesh->nodes)
      write_node(writer, node.address, node.is_down, "passed");
  }
  writer.end_array().end_object();
  give_as_dhrt(exchange, writer.take());
}

}  // namespace dhrt::routes
