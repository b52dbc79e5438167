// The routes of HTTP clients, as data: which requests there are, and who serves them. The OpenAPI
// document and the Allow header are made of it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/access.h"

namespace dhrt {

class HttpExchange;
using Exchange = std::shared_ptr<HttpExchange>;

// Words of a path, decoded: "/users/17" gives {"users", "17"}.
using PathWords = std::vector<std::string>;

struct HttpRoute {
  // "/_/health/live", "/{collection}/{key}": words in braces stand for any but an empty one, with
  // a question mark for an empty one, too.
  std::string_view path;
  std::string_view methods;  // With blanks between. GET serves HEAD as well.
  // What a token must be good for, and where.
  Role role;
  enum class Place {
    node,     // Not about a collection.
    figures,  // The same; it shows figures, no data.
    main,     // The default collection.
    first,    // The first word names the collection,
    third,    // the third one.
    word,     // It may be that of a key of the default collection, or of a collection.
  };
  Place place;
  std::string_view query;  // Fields with blanks between; a question mark: may be left out.
  // What it answers beside what every route of its kind does (http_openapi.cc): "200 404".
  std::string_view statuses;
  std::string_view summary;  // One sentence for a person.
  void (*serve)(const Exchange& exchange, PathWords& words);
  std::string_view body_type = {};                     // Of the request's body, if it has one.
  std::string_view answer_types = "application/json";  // With blanks between; Accept chooses.
};

// Whoever comes first serves.
std::span<const HttpRoute> http_routes();

// What a request is about; none: the node.
std::vector<Bytes> collections_of(const HttpRoute& route, const PathWords& words);

// Keys are written at the level of X-Dhrt-Ack, and read at that of X-Dhrt-Read; lists, and the
// routes of older servers, know of none.
bool takes_levels(const HttpRoute& route);

// If-Match and If-None-Match are about one key; of a collection that is deleted they are refused.
bool takes_conditions(const HttpRoute& route);

// Split at blanks.
std::vector<std::string_view> words_of(std::string_view text);

struct RouteFound {
  const HttpRoute* route = nullptr;  // Null: nobody takes this method there.
  std::string allowed;               // "GET, HEAD, OPTIONS"; empty: there is no such path.
};
RouteFound find_route(std::string_view method, const PathWords& words);

// How many words of the path, from its beginning, are no value and no piece of one, which stands at
// the end of some paths. Where no route takes the method, those that another method has there
// count; where none has so many words, only the first one is known to be no value.
std::size_t words_without_value(std::string_view method, std::string_view path);

// Names that are kept for the node itself; no key or collection is called so in a path.
bool is_reserved_word(std::string_view word);

// The description of all routes, as an OpenAPI 3.0 document.
std::string openapi_document();

}  // namespace dhrt
