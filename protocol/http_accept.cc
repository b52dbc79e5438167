#include "protocol/http_accept.h"

#include <algorithm>
#include <optional>

#include "protocol/http.h"
#include "protocol/letter_case.h"

namespace dhrt::http {

namespace {

using Closeness = Acceptance::Closeness;

// What stands before the next `separator`, which within quotes is none.
Bytes take_until(Bytes& text, char separator) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != separator); ++end) {
    if (text[end] == '"') quoted = !quoted;
    if (text[end] == '\\' && quoted) ++end;
  }
  end = std::min(end, text.size());
  const Bytes taken = trim(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

// "0.25" -> 250. Absent: it is none.
std::optional<int> parse_quality(Bytes text) {
  constexpr std::size_t bytes_max = Bytes("0.123").size();
  if (text.empty() || text.size() > bytes_max || (text[0] != '0' && text[0] != '1'))
    return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int thousandths = (text[0] - '0') * 1000;
  int unit = 100;
  for (const char digit : text.substr(std::min(text.size(), std::size_t{2}))) {
    if (digit < '0' || digit > '9') return std::nullopt;
    thousandths += (digit - '0') * unit;
    unit /= 10;
  }
  return thousandths <= 1000 ? std::optional(thousandths) : std::nullopt;
}

Closeness closeness_of(Bytes range, Bytes type) {
  if (range == "*/*") return Closeness::any;
  if (equal_in_any_case(range, type)) return Closeness::itself;
  const Bytes kind = type.substr(0, type.find('/') + 1);
  const bool of_kind = range.size() == kind.size() + 1 && range.ends_with('*') &&
                       equal_in_any_case(range.substr(0, kind.size()), kind);
  return of_kind ? Closeness::any_of_kind : Closeness::none;
}

// What one range says of the type.
Acceptance read_range(Bytes range, Bytes type) {
  Acceptance read{.thousandths = 1000, .closeness = closeness_of(take_until(range, ';'), type)};
  while (!range.empty()) {
    Bytes parameter = take_until(range, ';');
    const Bytes name = take_until(parameter, '=');
    if (!equal_in_any_case(name, "q")) continue;
    const auto quality = parse_quality(trim(parameter));
    if (!quality) return {};
    read.thousandths = *quality;
  }
  return read;
}

}  // namespace

Acceptance acceptance_of(Bytes field, Bytes type) {
  Acceptance closest;
  while (!field.empty()) {
    const Acceptance read = read_range(take_until(field, ','), type);
    const bool is_closer = read.closeness != closest.closeness
                               ? read.closeness > closest.closeness
                               : read.thousandths > closest.thousandths;
    if (read.closeness != Closeness::none && is_closer) closest = read;
  }
  return closest;
}

}  // namespace dhrt::http
