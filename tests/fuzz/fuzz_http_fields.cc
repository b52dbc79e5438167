// What stands in HTTP headers and queries: entity tags, types that are accepted, and any bytes as
// text.
#include <string>

#include "protocol/http.h"
#include "protocol/http_accept.h"
#include "protocol/http_etags.h"
#include "protocol/json.h"
#include "protocol/utf8.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

// Written anew, a list says the same.
void check_etags(Bytes field) {
  const auto etags = http::parse_etags(field);
  if (!etags) return;
  check(etags->any == etags->tags.empty(), "it is any, or there are some");
  std::string again = etags->any ? "*" : "";
  for (const http::Etags::Tag& tag : etags->tags) {
    check(etags->matches_weakly(tag.text), "a list has its own tags");
    again.append(again.empty() ? "" : ", ").append(tag.weak ? "W/\"" : "\"");
    again.append(tag.text).append("\"");
  }
  const auto same = http::parse_etags(again);
  check(same && same->any == etags->any && same->tags.size() == etags->tags.size(), "the same");
  for (std::size_t at = 0; at < same->tags.size(); ++at) {
    check(same->tags[at].text == etags->tags[at].text, "of the same tags");
    check(same->tags[at].weak == etags->tags[at].weak, "as strong");
  }
}

// What is said of one type says nothing of another, and in front of all else counts as before.
void check_accept(Bytes field) {
  using Closeness = http::Acceptance::Closeness;
  for (const Bytes type : {"application/json", "application/octet-stream"}) {
    const auto found = http::acceptance_of(field, type);
    check(found.thousandths >= 0 && found.thousandths <= 1000, "a weight is from 0 to 1");
    check(found.closeness != Closeness::none || found.thousandths == 0,
          "what is not named has none");
    const auto with_other = http::acceptance_of("text/plain;q=1, " + std::string(field), type);
    check(with_other.thousandths == found.thousandths, "another type changes nothing");
    const auto named = http::acceptance_of(std::string(type) + "," + std::string(field), type);
    check(named.thousandths == 1000 && named.closeness == Closeness::itself, "it was named");
  }
}

void check_text(Bytes bytes) {
  const std::string text = to_utf8(bytes);
  check(json::is_utf8(text), "it is text");
  check(!json::is_utf8(bytes) || text == bytes, "what was text is the same");
  check(utf16_length(text) <= text.size(), "no character has more units than bytes");
  check(text.size() <= 3 * bytes.size(), "at most one replacement for each byte");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check_etags(input);
  check_accept(input);
  check_text(input);
  for (const auto& [name, value] : http::query_fields(input)) {
    check_text(name);
    check_text(value);
  }
  return 0;
}
