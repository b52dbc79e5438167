#include "node/cli_print.h"

#include <algorithm>
#include <vector>

#include "protocol/json.h"

namespace dhrt {

namespace {

using Value = json::Document::Value;
using Row = std::vector<std::string>;

struct Plain {
  std::string operator()(const Nil&) const { return "\n"; }
  std::string operator()(const SimpleString& simple) const { return simple.text + "\n"; }
  std::string operator()(const ReplyError& error) const { return error.message + "\n"; }
  std::string operator()(std::int64_t number) const { return std::to_string(number) + "\n"; }
  std::string operator()(const std::string& bulk) const { return bulk + "\n"; }
  std::string operator()(const Reply::Array& items) const {
    std::string out;
    for (const auto& item : items)
      out += std::visit(*this, item.value);
    return out;
  }
};

std::string shown_string(Bytes bytes) {
  std::string out = "\"";
  constexpr Bytes digits = "0123456789abcdef";
  const bool utf8 = json::is_utf8(bytes);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < ' ' || byte == 0x7F || (byte >= 0x80 && !utf8)) {
      out += std::string("\\x") + digits[byte >> 4] + digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Replies are at most resp::reply_depth_max deep, so it may call itself.
struct Pretty {
  std::size_t indent = 0;

  std::string operator()(const Nil&) const { return "(nil)\n"; }
  std::string operator()(const SimpleString& simple) const { return simple.text + "\n"; }
  std::string operator()(const ReplyError& error) const {
    return "(error) " + error.message + "\n";
  }
  std::string operator()(std::int64_t number) const {
    return "(integer) " + std::to_string(number) + "\n";
  }
  std::string operator()(const std::string& bulk) const { return shown_string(bulk) + "\n"; }
  std::string operator()(const Reply::Array& items) const {
    if (items.empty()) return "(empty)\n";
    const std::size_t width = std::to_string(items.size()).size();
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      if (i > 0) out += std::string(indent, ' ');
      out += std::string(width - number.size(), ' ') + number + ") ";
      out += std::visit(Pretty{indent + width + 2}, items[i].value);
    }
    return out;
  }
};

struct Json {
  std::string operator()(const Nil&) const { return "null"; }
  std::string operator()(const SimpleString& simple) const { return (*this)(simple.text); }
  std::string operator()(const ReplyError& error) const {
    return "{\"error\":" + (*this)(error.message) + "}";
  }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(const std::string& bulk) const {
    if (json::is_utf8(bulk)) return json::quoted(bulk);
    return "{\"base64\":\"" + json::base64(bulk) + "\"}";
  }
  std::string operator()(const Reply::Array& items) const {
    std::string out = "[";
    for (const auto& item : items)
      out += (out.size() > 1 ? "," : "") + std::visit(*this, item.value);
    return out + "]";
  }
};

std::string cell_text(const Value& value) {
  const auto text = value.string();
  return printable(text ? *text : value.text());
}

void add_column(Row& columns, const std::string& name) {
  if (std::ranges::find(columns, name) == columns.end()) columns.push_back(name);
}

// Those of `first_columns` that occur, then the others in the order they were met.
Row columns_of(const std::vector<Value>& items, Bytes first_columns) {
  Row met;
  for (const auto& item : items)
    for (const auto& [name, value] : item.members())
      add_column(met, name);
  Row columns;
  while (!first_columns.empty()) {
    const std::size_t end = std::min(first_columns.find(' '), first_columns.size());
    const std::string name(first_columns.substr(0, end));
    if (std::ranges::find(met, name) != met.end()) columns.push_back(name);
    first_columns.remove_prefix(std::min(end + 1, first_columns.size()));
  }
  for (const auto& name : met)
    add_column(columns, name);
  return columns;
}

// Characters, not bytes, so that names in other scripts stay in line.
std::size_t width_of(Bytes text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string aligned(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
    out += line.erase(line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

void append_properties(std::string& out, const Value& object, const std::string& prefix,
                       std::size_t depth) {
  for (const auto& [name, value] : object.members()) {
    if (value.is_object() && depth < json::depth_max)
      append_properties(out, value, prefix + name + ".", depth + 1);
    else
      out += printable(prefix + name) + ": " + cell_text(value) + "\n";
  }
}

}  // namespace

std::string plain_text(const Reply& reply) {
  return std::visit(Plain{}, reply.value);
}

std::string pretty_text(const Reply& reply) {
  return std::visit(Pretty{}, reply.value);
}

std::string json_text(const Reply& reply) {
  return std::visit(Json{}, reply.value);
}

std::string table_text(Bytes json, Bytes first_columns) {
  const auto document = json::Document::parse(json);
  if (!document || !document->root().is_array()) return std::string(json) + "\n";
  const auto items = document->root().items();
  const Row columns = columns_of(items, first_columns);
  if (columns.empty()) {  // A list of plain values.
    std::string out;
    for (const auto& item : items)
      out += cell_text(item) + "\n";
    return out;
  }
  std::vector<Row> rows{columns};
  for (const auto& item : items) {
    Row row;
    for (const auto& column : columns) {
      const auto value = item.member(column);
      row.push_back(value ? cell_text(*value) : "-");
    }
    rows.push_back(std::move(row));
  }
  return aligned(rows);
}

std::string properties_text(Bytes json) {
  const auto document = json::Document::parse(json);
  if (!document || !document->root().is_object()) return std::string(json) + "\n";
  std::string out;
  append_properties(out, document->root(), "", 0);
  return out;
}

std::string printable(Bytes text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; }, '?');
  return out;
}

}  // namespace dhrt
