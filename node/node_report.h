// What a node says about itself as JSON: `stats`, `nodes` and `collections`.
#pragma once

#include <cstddef>
#include <string>

#include "cluster/core.h"
#include "node/figures.h"
#include "storage/catalog.h"
#include "storage/store.h"

namespace dhrt {

class NodeReport {
 public:
  struct Parts {
    const Core& core;
    Store& store;
    const Catalog& catalog;
    const NodeFigures& figures;
    const std::size_t& connections;
    const Position& durable;
    Time started;
    bool memory = false;
    std::string data_dir;
    std::string address;  // Where the node listens.
  };
  explicit NodeReport(Parts parts) : parts_(std::move(parts)) {}

  std::string stats() const;
  // Members that are part of the cluster; those that left are not shown.
  std::string nodes() const;
  std::string collections() const;
  // `GET /`: the node in the words of HTTP clients.
  std::string overview() const;

  struct Totals {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t collections = 0;
  };
  Totals totals() const;
  const Core& core() const { return parts_.core; }
  // Ready: synced and writable. Otherwise the reason.
  Status ready() const;

 private:
  Parts parts_;
};

}  // namespace dhrt
