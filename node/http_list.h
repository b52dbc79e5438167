// The records of a collection as a JSON array in chunks, read slice by slice as the client takes
// them: never built whole.
//
// Threads: loop thread only.
#pragma once

#include <string>

#include "node/http_handlers.h"

namespace dhrt {

class HttpList final : public ReplyStream {
 public:
  struct Format {
    std::string content_type;
    bool with_values = true;
    void (*append)(std::string& out, const KeyedRecord& entry) = nullptr;
  };
  // A collection that is not there has no records.
  HttpList(Exchange exchange, std::string collection, Format format);

  Next produce(std::string& out, Position& promises) override;

 private:
  Next append_slice(std::string& piece);

  Exchange exchange_;
  std::string collection_;
  Format format_;
  ScanRequest request_;
  bool begun_ = false;
  bool first_ = true;
};

}  // namespace dhrt
