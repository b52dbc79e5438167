// What a node does with the life of its clients: figures by dialect, and the log of requests.
//
// Commands and errors are counted where they are found (NodeFigures::of), as nobody is asked of
// each request that runs with others. Threads: loop thread only; the log is shared.
#pragma once

#include "node/figures.h"
#include "node/request_hooks.h"
#include "node/request_log.h"

namespace dhrt {

class ClientHooks final : public RequestHooks {
 public:
  // Both outlive it. Without a log nobody is told of requests.
  ClientHooks(NodeFigures& figures, const std::unique_ptr<RequestLog>& log)
      : figures_(figures), log_(log) {}

  void connect(ClientDialect dialect) override {
    NodeFigures::OfDialect& figures = figures_.of(dialect);
    ++figures.connections_total;
    ++figures.connections;
  }
  void disconnect(ClientDialect dialect) override {
    NodeFigures::OfDialect& figures = figures_.of(dialect);
    figures.connections = figures.connections - 1;
  }
  bool wants_requests() const override { return log_ != nullptr; }
  void request_end(const TracedRequest& request) override { log_->add(request); }

 private:
  NodeFigures& figures_;
  const std::unique_ptr<RequestLog>& log_;
};

}  // namespace dhrt
