#include "protocol/resp_writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "protocol/resp.h"

namespace dhrt::resp {

namespace {

std::string to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

}  // namespace

void Writer::head(char type, std::size_t count) {
  append_number_line(out_, type, static_cast<std::int64_t>(count));
}

void Writer::simple(Bytes text) {
  append_text_line(out_, '+', text);
}

void Writer::error(Bytes message) {
  append_text_line(out_, '-', message);
}

void Writer::integer(std::int64_t number) {
  append_number_line(out_, ':', number);
}

void Writer::bulk(Bytes bytes) {
  append_bulk(out_, bytes);
}

void Writer::verbatim(Bytes text) {
  if (!is_resp3()) return bulk(text);
  head('=', text.size() + 4);
  (out_ += "txt:") += text;
  out_ += "\r\n";
}

void Writer::null() {
  out_ += null_of(version_);
}

void Writer::null_array() {
  out_ += is_resp3() ? Bytes("_\r\n") : Bytes("*-1\r\n");
}

void Writer::boolean(bool value) {
  if (!is_resp3()) return integer(value ? 1 : 0);
  out_ += value ? "#t\r\n" : "#f\r\n";
}

void Writer::number(double value) {
  if (!is_resp3()) return bulk(to_text(value));
  append_text_line(out_, ',', to_text(value));
}

void Writer::array(std::size_t items) {
  head('*', items);
}

void Writer::map(std::size_t pairs) {
  head(is_resp3() ? '%' : '*', is_resp3() ? pairs : 2 * pairs);
}

void Writer::set(std::size_t items) {
  head(is_resp3() ? '~' : '*', items);
}

void Writer::push(std::size_t items) {
  head(is_resp3() ? '>' : '*', items);
}

}  // namespace dhrt::resp
