// What operators and their tools ask of a node.
#include "node/http_handlers.h"
#include "node/http_routes.h"
#include "protocol/json.h"

namespace dhrt::routes {

void overview(const Exchange& exchange) {
  exchange->respond({.body = exchange->server().report.overview()});
}

void live(const Exchange& exchange) {
  exchange->respond({.body = R"({"status":"live"})"});
}

void ready(const Exchange& exchange) {
  const Status ready = exchange->server().report.ready();
  if (ready) return exchange->respond({.body = R"({"status":"ready"})"});
  exchange->respond(
      {.status = 503,
       .headers = {{"Retry-After", "1"}},
       .body = R"({"status":"not ready","error":)" + json::quoted(ready.error().message) + "}"});
}

void cluster(const Exchange& exchange) {
  exchange->respond({.body = exchange->server().report.cluster_overview()});
}

void collections(const Exchange& exchange) {
  exchange->respond({.body = exchange->server().report.collections(exchange->grant())});
}

void stats(const Exchange& exchange) {
  exchange->respond({.body = exchange->server().report.stats()});
}

void metrics(const Exchange& exchange) {
  exchange->respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .body = exchange->server().report.metrics(exchange->grant())});
}

void openapi(const Exchange& exchange) {
  exchange->respond({.body = openapi_document()});
}

}  // namespace dhrt::routes
