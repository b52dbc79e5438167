#include "protocol/duration.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace dhrt {

namespace {

struct Unit {
  Bytes name;
  std::uint64_t factor;
};

// Largest last: to_text looks from the end.
constexpr std::array duration_units{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000},
                                    Unit{"h", 3'600'000}, Unit{"d", 86'400'000}};
constexpr std::array byte_units{
    Unit{"b", 1}, Unit{"kb", std::uint64_t{1} << 10}, Unit{"mb", std::uint64_t{1} << 20},
    Unit{"gb", std::uint64_t{1} << 30}, Unit{"tb", std::uint64_t{1} << 40}};

// A hundred years: now plus any duration still fits every clock.
constexpr std::uint64_t duration_milliseconds_max = std::uint64_t{36'525} * 86'400'000;

struct Quantity {
  std::optional<std::uint64_t> number;  // Absent: more digits than a number can hold.
  Bytes unit;
};

// Absent: the text does not begin with a digit.
std::optional<Quantity> split_quantity(Bytes text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0) return {};
  Quantity quantity{.number = 0, .unit = text.substr(digits)};
  for (const char c : text.substr(0, digits)) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (*quantity.number > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) {
      quantity.number.reset();
      break;
    }
    quantity.number = *quantity.number * 10 + digit;
  }
  return quantity;
}

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, Bytes name) {
  const auto* found = std::ranges::find(units, name, &Unit::name);
  return found == units.end() ? nullptr : found;
}

// What was typed, short enough for a message.
std::string shown(Bytes text) {
  constexpr std::size_t shown_bytes_max = 40;
  if (text.size() <= shown_bytes_max) return "'" + std::string(text) + "'";
  return "'" + std::string(text.substr(0, shown_bytes_max)) + "...'";
}

std::string lower(Bytes text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  });
  return out;
}

}  // namespace

Result<Duration> parse_duration(Bytes text) {
  const auto quantity = split_quantity(text);
  if (!quantity)
    return fail(ErrorCode::invalid_argument,
                shown(text) + " is no duration; give a number and ms, s, m, h or d, e.g. 500ms");
  if (quantity->unit.empty() && quantity->number == 0) return Duration{0};
  if (quantity->unit.empty())
    return fail(ErrorCode::invalid_argument, "duration " + shown(text) +
                                                 " has no unit; add ms, s, m, h or d, e.g. " +
                                                 std::string(text.substr(0, 8)) + "s");
  const Unit* unit = find_unit(duration_units, quantity->unit);
  if (!unit)
    return fail(ErrorCode::invalid_argument,
                "duration " + shown(text) + " has an unknown unit; use ms, s, m, h or d, e.g. 2h");
  if (!quantity->number || *quantity->number > duration_milliseconds_max / unit->factor)
    return fail(ErrorCode::invalid_argument,
                "duration " + shown(text) + " is longer than 36525d; give less, or 0 for none");
  return Duration{static_cast<Duration::rep>(*quantity->number * unit->factor)};
}

Result<std::uint64_t> parse_byte_size(Bytes text) {
  const auto quantity = split_quantity(text);
  const std::string name = quantity ? lower(quantity->unit) : std::string();
  const Unit* unit = name.empty() ? byte_units.data() : find_unit(byte_units, name);
  if (!quantity || !unit)
    return fail(ErrorCode::invalid_argument,
                shown(text) + " is no size; give bytes, or a number and kb, mb, gb or tb");
  if (!quantity->number ||
      *quantity->number > std::numeric_limits<std::uint64_t>::max() / unit->factor)
    return fail(ErrorCode::invalid_argument,
                "size " + shown(text) + " does not fit 64 bits; give less");
  return *quantity->number * unit->factor;
}

std::string to_text(Duration duration) {
  if (duration.count() == 0) return "0";
  const bool negative = duration.count() < 0;
  auto magnitude = static_cast<std::uint64_t>(duration.count());
  if (negative) magnitude = 0 - magnitude;
  const auto unit = std::find_if(duration_units.rbegin(), duration_units.rend(),
                                 [&](const Unit& u) { return magnitude % u.factor == 0; });
  return (negative ? "-" : "") + std::to_string(magnitude / unit->factor) + std::string(unit->name);
}

}  // namespace dhrt
