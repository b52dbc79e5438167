#include "protocol/resp_number.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace dhrt::resp {

namespace {

// The largest long double has 4,933 digits before the point: whatever is written can be read.
constexpr std::size_t float_bytes_max = 5120;

}  // namespace

std::optional<std::int64_t> parse_integer(Bytes text) {
  const Bytes bare = text.starts_with('-') ? text.substr(1) : text;
  if (bare.starts_with('0') && text != "0") return std::nullopt;
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

std::optional<long double> parse_float(Bytes text) {
  if (text.empty() || text.size() > float_bytes_max) return std::nullopt;
  const std::string copy(text);  // With a zero at its end.
  if (std::isspace(static_cast<unsigned char>(copy.front())) != 0) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size() || std::isnan(value)) return std::nullopt;
  const bool out_of_range = errno == ERANGE && (std::fabs(value) == HUGE_VALL || value == 0);
  if (out_of_range) return std::nullopt;
  return value;
}

std::string to_text(long double value) {
  std::array<char, float_bytes_max> digits;
  const int length = std::snprintf(digits.data(), digits.size(), "%.17Lf", value);
  std::string text(digits.data(), static_cast<std::size_t>(length));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

}  // namespace dhrt::resp
