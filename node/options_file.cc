#include "node/options_file.h"

#include <optional>
#include <toml++/toml.h>
#include <vector>

#include "node/nearest.h"
#include "node/option_table.h"
#include "node/read_file.h"

namespace dhrt {

namespace {

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(ErrorCode::invalid_argument, "configuration file " + path + ": " + why);
}

// Absent: a type that no option takes, such as a table or a date.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  const auto* list = node.as_array();
  if (list == nullptr) return std::nullopt;
  std::string joined;
  for (const auto& item : *list) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    joined += (joined.empty() ? "" : ",") + text->get();
  }
  return joined;
}

const OptionInfo* find_by_key(const std::string& key) {
  for (const auto& option : option_table())
    if (option.in_file && file_key(option) == key) return &option;
  return nullptr;
}

std::string unknown_key(const std::string& key) {
  std::vector<std::string> known;
  for (const auto& option : option_table())
    if (option.in_file) known.push_back(file_key(option));
  const auto nearest = nearest_name(key, known);
  return "there is no option '" + key + "'; " +
         (nearest ? "did you mean " + *nearest + "?" : "dhrt start --help lists them");
}

}  // namespace

Result<std::map<std::string, std::string>> read_options_file(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return refuse(path, text.error().message);
  std::map<std::string, std::string> values;
  try {
    const toml::table table = toml::parse(*text, path);
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto* option = find_by_key(name);
      if (option == nullptr) return refuse(path, unknown_key(name));
      auto value = text_of(node);
      if (!value) return refuse(path, name + " must be a string, a number, true or false");
      values.emplace(option->name, *std::move(value));
    }
  } catch (const toml::parse_error& error) {
    return refuse(path, "line " + std::to_string(error.source().begin.line) + ": " +
                            std::string(error.description()));
  }
  return values;
}

}  // namespace dhrt
