#include "node/http_conditions.h"

#include "node/database.h"

namespace dhrt {

namespace {

// An empty field, or one of two, is no wish to do without a condition.
Status read_field(const http::Request& request, Bytes name, std::optional<http::Etags>& etags) {
  std::optional<Bytes> field;
  for (const http::Header& header : request.headers) {
    if (header.first != name) continue;
    if (field)
      return fail(ErrorCode::invalid_argument,
                  std::string(name) + " stands there twice; send one list");
    field = header.second;
  }
  if (!field) return {};
  etags = http::parse_etags(*field);
  if (etags) return {};
  return fail(
      ErrorCode::invalid_argument,
      std::string(name) + " is neither * nor a list of versions in quotes, as ETag has them");
}

}  // namespace

Result<HttpConditions> HttpConditions::of(const http::Request& request) {
  HttpConditions conditions;
  if (auto status = read_field(request, "if-match", conditions.match_); !status)
    return tl::unexpected(status.error());
  if (auto status = read_field(request, "if-none-match", conditions.none_match_); !status)
    return tl::unexpected(status.error());
  return conditions;
}

bool HttpConditions::allow_write(const Version* held) const {
  if (held == nullptr) return !match_;
  const VersionText version(*held);
  if (match_ && !match_->matches_strongly(version.bytes())) return false;
  return !none_match_ || !none_match_->matches_weakly(version.bytes());
}

int HttpConditions::read_status(const Version& held) const {
  const VersionText version(held);
  if (match_ && !match_->matches_strongly(version.bytes())) return 412;
  return none_match_ && none_match_->matches_weakly(version.bytes()) ? 304 : 200;
}

http::Header etag_of(const Version& version) {
  return {"ETag", "\"" + to_text(version) + "\""};
}

}  // namespace dhrt
