#include "node/http_routes.h"

#include <algorithm>
#include <array>

#include "node/http_handlers.h"
#include "node/http_record.h"
#include "node/rpc_body.h"

namespace dhrt {

namespace {

using Words = PathWords;
using Place = HttpRoute::Place;
const std::string main_collection(default_collection);

constexpr std::string_view about_key = "200 404";
constexpr std::string_view no_body;
constexpr std::string_view nkvd_type = "text/json";
constexpr std::string_view json_or_bytes = "application/json application/octet-stream";

constexpr std::array table{
    HttpRoute{"/", "GET", Role::read, Place::figures, "", "200",
              "The node, its cluster and how much they hold.",
              [](const Exchange& e, Words&) { routes::overview(e); }},
    HttpRoute{"/", "POST", Role::none, Place::node, "", "200 204 413",
              "JSON-RPC 1.0 and 2.0, by the body.",
              [](const Exchange& e, Words&) { run_rpc_body(e); }, "application/json"},
    HttpRoute{"/rpc", "POST", Role::none, Place::node, "", "200 204 413",
              "JSON-RPC 1.0 and 2.0, by the body.",
              [](const Exchange& e, Words&) { run_rpc_body(e); }, "application/json"},

    HttpRoute{"/_/health/live", "GET", Role::none, Place::node, "", "200", "The process answers.",
              [](const Exchange& e, Words&) { routes::live(e); }},
    HttpRoute{"/_/health/ready", "GET", Role::none, Place::node, "", "200 503",
              "The node is synced and takes writes; until then the reason.",
              [](const Exchange& e, Words&) { routes::ready(e); }},
    HttpRoute{"/_/cluster", "GET", Role::read, Place::figures, "", "200",
              "The nodes of the cluster and their state.",
              [](const Exchange& e, Words&) { routes::cluster(e); }},
    HttpRoute{"/_/collections", "GET", Role::read, Place::figures, "", "200",
              "The collections that the token is for, their size and settings.",
              [](const Exchange& e, Words&) { routes::collections(e); }},
    HttpRoute{"/_/stats", "GET", Role::read, Place::figures, "", "200", "Every figure of the node.",
              [](const Exchange& e, Words&) { routes::stats(e); }},
    HttpRoute{"/_/watch/{collection}", "GET", Role::read, Place::third, "prefix? since?", "200",
              "What changes in a collection, as Server-Sent Events; Last-Event-ID goes on.",
              [](const Exchange& e, Words& w) { routes::watch(e, w[2]); }, no_body,
              "text/event-stream"},
    HttpRoute{"/_/openapi.json", "GET", Role::none, Place::node, "", "200", "This document.",
              [](const Exchange& e, Words&) { routes::openapi(e); }},
    HttpRoute{"/metrics", "GET", Role::read, Place::figures, "", "200",
              "Figures for Prometheus, as text.",
              [](const Exchange& e, Words&) { routes::metrics(e); }, no_body, "text/plain"},

    HttpRoute{"/set", "GET POST", Role::write, Place::main, "k v noReplicate?", "200",
              "Stores a value (nkvd).", [](const Exchange& e, Words&) { routes::nkvd_set(e); },
              no_body, nkvd_type},
    HttpRoute{"/get", "GET POST", Role::read, Place::main, "k", about_key,
              "The value of a key, as a JSON string (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_get(e); }, no_body, nkvd_type},
    HttpRoute{"/is", "GET POST", Role::read, Place::main, "k", about_key,
              "Tells whether a key is there (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_is(e); }, no_body, nkvd_type},
    HttpRoute{"/rm", "GET POST", Role::write, Place::main, "k noReplicate?", about_key,
              "Deletes a key (nkvd).", [](const Exchange& e, Words&) { routes::nkvd_rm(e); },
              no_body, nkvd_type},
    HttpRoute{"/clear", "GET POST", Role::write, Place::main, "noReplicate?", "200",
              "Deletes every key (nkvd).", [](const Exchange& e, Words&) { routes::nkvd_clear(e); },
              no_body, nkvd_type},
    HttpRoute{"/getKeys", "GET POST", Role::read, Place::main, "", "200", "All keys (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_list(e, routes::NkvdList::keys); },
              no_body, nkvd_type},
    HttpRoute{"/getValues", "GET POST", Role::read, Place::main, "", "200", "All values (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_list(e, routes::NkvdList::values); },
              no_body, nkvd_type},
    HttpRoute{"/getAll", "GET POST", Role::read, Place::main, "", "200",
              "All keys with their values (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_list(e, routes::NkvdList::pairs); },
              no_body, nkvd_type},
    HttpRoute{"/healthcheck", "GET POST", Role::none, Place::node, "", "200",
              "The process answers (nkvd).",
              [](const Exchange& e, Words&) { routes::nkvd_health(e); }, no_body, nkvd_type},
    HttpRoute{"/status", "GET POST", Role::read, Place::figures, "", "200",
              "What nkvd tells of itself.",
              [](const Exchange& e, Words&) { routes::nkvd_status(e); }, no_body, nkvd_type},
    HttpRoute{"/ping", "GET POST", Role::read, Place::figures, "nodes?", "200",
              "The nodes that nkvd sees here.",
              [](const Exchange& e, Words&) { routes::nkvd_ping(e); }, no_body, nkvd_type},

    HttpRoute{"/{name}", "GET", Role::read, Place::word, "", "200 304 404 410 412 504",
              "The key of the default collection, or else all of the collection of that name.",
              [](const Exchange& e, Words& w) { routes::get_word(e, w[0]); }, no_body,
              json_or_bytes},
    HttpRoute{"/{name}", "PUT", Role::write, Place::main, "ttl?", "201 410 412 413 504",
              "Stores the body, any bytes, as the value of this key of the default collection.",
              [](const Exchange& e, Words& w) {
                routes::put_key(e, {main_collection, w[0]});
              },
              any_bytes_type},
    HttpRoute{"/{name}", "DELETE", Role::write, Place::word, "", "202 404 409 410 412 413 504",
              "Deletes the key or the collection of that name; if there are both, nothing.",
              [](const Exchange& e, Words& w) { routes::delete_word(e, w[0]); }},
    HttpRoute{"/{collection}/", "GET", Role::read, Place::first, "", "200 404",
              "All of a collection.",
              [](const Exchange& e, Words& w) { routes::get_collection(e, w[0]); }},
    HttpRoute{"/{collection}/", "DELETE", Role::admin, Place::first, "", "202 404 413",
              "Deletes a collection everywhere.",
              [](const Exchange& e, Words& w) { routes::delete_collection(e, w[0]); }},
    HttpRoute{"/{key}/", "POST", Role::write, Place::main, "ttl?", "201 410 412 504",
              "Stores an empty value under this key of the default collection.",
              [](const Exchange& e, Words& w) {
                routes::post_key(e, {main_collection, w[0]}, "");
              }},
    HttpRoute{"/{collection}/{key}", "GET", Role::read, Place::first, "", "200 304 404 410 412 504",
              "A key of a collection.",
              [](const Exchange& e, Words& w) {
                routes::get_key(e, {w[0], w[1]});
              },
              no_body, json_or_bytes},
    HttpRoute{"/{collection}/{key}", "PUT", Role::write, Place::first, "ttl?",
              "201 410 412 413 504", "Stores the body, any bytes, as the value of the key.",
              [](const Exchange& e, Words& w) {
                routes::put_key(e, {w[0], w[1]});
              },
              any_bytes_type},
    HttpRoute{"/{collection}/{key}", "DELETE", Role::write, Place::first, "", "202 404 410 412 504",
              "Deletes a key.",
              [](const Exchange& e, Words& w) {
                routes::delete_key(e, {w[0], w[1]});
              }},
    HttpRoute{"/{key?}/{value}", "POST", Role::write, Place::main, "ttl?", "201 410 412 504",
              "Stores the second word under the first, in the default collection; without a first "
              "one a key is made.",
              [](const Exchange& e, Words& w) {
                routes::post_key(e, {main_collection, w[0]}, w[1]);
              }},
    HttpRoute{"/{collection}/{key?}/{value?}", "POST", Role::write, Place::first, "ttl?",
              "201 410 412 504",
              "Stores the third word under the second; without a second one a key is made.",
              [](const Exchange& e, Words& w) {
                routes::post_key(e, {w[0], w[1]}, w[2]);
              }},
};

constexpr std::string_view first_word(std::string_view path) {
  return path.substr(1, path.find('/', 1) - 1);
}

// First words of paths that stand for themselves.
constexpr auto reserved_words = [] {
  std::array<std::string_view, table.size()> words{};
  std::size_t count = 0;
  for (const HttpRoute& route : table) {
    if (!first_word(route.path).starts_with('{')) words[count++] = first_word(route.path);
  }
  std::ranges::sort(words);  // Empty ones stand first.
  return words;
}();

std::string_view take_word(std::string_view& path) {
  const std::size_t end = std::min(path.find('/', 1), path.size());
  const std::string_view word = path.substr(1, end - 1);
  path.remove_prefix(end);
  return word;
}

bool matches(std::string_view path, const PathWords& words, bool reserved) {
  std::size_t at = 0;
  while (!path.empty()) {
    const std::string_view wanted = take_word(path);
    if (at == words.size()) return false;
    const std::string& word = words[at];
    if (!wanted.starts_with('{') && word != wanted) return false;
    if (wanted.starts_with('{') && word.empty() && !wanted.ends_with("?}")) return false;
    if (at++ == 0 && reserved && word != wanted) return false;
  }
  return at == words.size();
}

bool takes(const HttpRoute& route, std::string_view method) {
  for (const std::string_view taken : words_of(route.methods)) {
    if (taken == method) return true;
  }
  return false;
}

}  // namespace

std::span<const HttpRoute> http_routes() {
  return table;
}

bool takes_levels(const HttpRoute& route) {
  return route.path.starts_with("/{") && route.path != "/{collection}/";
}

bool takes_conditions(const HttpRoute& route) {
  return takes_levels(route) || (route.path == "/{collection}/" && route.role == Role::admin);
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

bool is_reserved_word(std::string_view word) {
  return !word.empty() && std::ranges::binary_search(reserved_words, word);
}

std::vector<Bytes> collections_of(const HttpRoute& route, const PathWords& words) {
  switch (route.place) {
    case HttpRoute::Place::node:
    case HttpRoute::Place::figures:
      return {};
    case HttpRoute::Place::main:
      return {default_collection};
    case HttpRoute::Place::first:
      return {words[0]};
    case HttpRoute::Place::third:
      return {words[2]};
    case HttpRoute::Place::word:
      return {default_collection, words[0]};
  }
  return {};
}

std::size_t words_without_value(std::string_view method, std::string_view path) {
  // What is malformed is counted as it stands there.
  PathWords words;
  for (std::string_view rest = path; !rest.empty();)
    words.emplace_back(take_word(rest));
  if (auto decoded = http::path_segments(path)) words = *std::move(decoded);
  const bool reserved = is_reserved_word(words[0]);
  std::size_t kept = words.size() + 1;  // Of no route.
  for (const HttpRoute& route : table) {
    if (!matches(route.path, words, reserved)) continue;
    const bool has_value = route.path.find("{value") != std::string_view::npos;
    const std::size_t without = words.size() - (has_value ? 1 : 0);
    if (takes(route, method == "HEAD" ? "GET" : method)) return without;
    kept = std::min(kept, without);
  }
  return kept > words.size() ? 1 : kept;
}

RouteFound find_route(std::string_view method, const PathWords& words) {
  RouteFound found;
  const bool reserved = is_reserved_word(words[0]);
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const HttpRoute& route : table) {
    if (!matches(route.path, words, reserved)) continue;
    if (takes(route, wanted) && found.route == nullptr) found.route = &route;
    for (const std::string_view taken : words_of(route.methods))
      found.allowed.append(taken).append(taken == "GET" ? ", HEAD, " : ", ");
  }
  if (!found.allowed.empty()) found.allowed += "OPTIONS";
  return found;
}

}  // namespace dhrt
