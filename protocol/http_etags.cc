#include "protocol/http_etags.h"

#include <algorithm>

namespace dhrt::http {

namespace {

void skip_blanks(Bytes& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
}

std::optional<Etags::Tag> take_tag(Bytes& text) {
  Etags::Tag tag;
  if (text.starts_with("W/")) {
    tag.weak = true;
    text.remove_prefix(2);
  }
  if (!text.starts_with('"')) return std::nullopt;
  const std::size_t end = text.find('"', 1);
  if (end == Bytes::npos) return std::nullopt;
  tag.text = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  return tag;
}

}  // namespace

bool Etags::matches_strongly(Bytes tag) const {
  return any || std::ranges::any_of(
                    tags, [&](const Tag& listed) { return !listed.weak && listed.text == tag; });
}

bool Etags::matches_weakly(Bytes tag) const {
  return any || std::ranges::any_of(tags, [&](const Tag& listed) { return listed.text == tag; });
}

std::optional<Etags> parse_etags(Bytes field) {
  Etags etags;
  skip_blanks(field);
  if (field.starts_with('*')) {
    etags.any = true;
    field.remove_prefix(1);
    skip_blanks(field);
    return field.empty() ? std::optional(etags) : std::nullopt;
  }
  for (;;) {
    skip_blanks(field);
    const auto tag = take_tag(field);
    if (!tag) return std::nullopt;
    etags.tags.push_back(*tag);
    skip_blanks(field);
    if (field.empty()) return etags;
    if (!field.starts_with(',')) return std::nullopt;
    field.remove_prefix(1);
  }
}

}  // namespace dhrt::http
