// Conditions of HTTP requests on the version of a record: If-Match and If-None-Match (RFC 9110,
// section 13). The ETag of a record is its version, strong.
//
// Threads: any.
#pragma once

#include <optional>
#include <string>

#include "protocol/http.h"
#include "protocol/http_etags.h"
#include "storage/base/result.h"
#include "storage/record.h"

namespace dhrt {

class HttpConditions {
 public:
  // Borrows from the request. invalid_argument: a field is no list of tags; doing without it would
  // overwrite what it was to protect.
  static Result<HttpConditions> of(const http::Request& request);

  bool none() const { return !match_ && !none_match_; }
  // A write may be done; `held` is the version that it replaces, null if there is none.
  bool allow_write(const Version* held) const;
  // What a read of a record is answered: 200, 304 (the client has it), 412.
  int read_status(const Version& held) const;

 private:
  std::optional<http::Etags> match_;
  std::optional<http::Etags> none_match_;
};

// {"ETag", "\"<version>\""}
http::Header etag_of(const Version& version);

}  // namespace dhrt
