// What a person reads about the options: the help, and the settings with their sources.
#include <algorithm>
#include <array>

#include "node/option_table.h"
#include "node/options.h"

namespace dhrt {

namespace {

std::string toml_string(const std::string& text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (byte < ' ' || byte == 0x7F) {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_list(const std::string& joined) {
  std::string out = "[";
  for (std::size_t begin = 0; begin < joined.size();) {
    const std::size_t end = std::min(joined.find(',', begin), joined.size());
    out += (out.size() > 1 ? ", " : "") + toml_string(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return out + "]";
}

std::string toml_value(const OptionInfo& option, const std::string& text) {
  if (const auto* kind = std::get_if<SwitchOption>(&option.kind)) {
    NodeOptions options;
    // The text was accepted before; yes and 1 are words of ours, not of TOML.
    const bool read = apply_option(option, text, "", options).has_value();
    return read && options.*kind->field ? "true" : "false";
  }
  if (is_list(option)) return toml_list(text);
  // Numbers without leading zeros, which TOML does not take.
  if (std::holds_alternative<LoopOption>(option.kind) && text != "auto") {
    NodeOptions options;
    if (apply_option(option, text, "", options)) return std::to_string(options.cpu_num);
  }
  if (const auto* kind = std::get_if<CountOption>(&option.kind)) {
    NodeOptions options;
    if (apply_option(option, text, "", options)) return std::to_string(options.*kind->field);
  }
  if (const auto* kind = std::get_if<PortOption>(&option.kind)) {
    NodeOptions options;
    if (apply_option(option, text, "", options)) return std::to_string(options.*kind->field);
  }
  return toml_string(text);
}

std::string source_text(const ValueSource& source) {
  switch (source.kind) {
    case ValueSource::Kind::flag:
      return "flag";
    case ValueSource::Kind::environment:
      return "environment " + source.detail;
    case ValueSource::Kind::file: {
      std::string path = source.detail;
      // A line break in a path would end the comment.
      std::ranges::replace_if(
          path, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
      return "file " + path;
    }
    case ValueSource::Kind::built_in:
      break;
  }
  return "default";
}

void append_option(std::string& out, const OptionInfo& option) {
  std::string flag = "  --" + std::string(option.name);
  if (!option.placeholder.empty()) flag += " " + std::string(option.placeholder);
  out += flag + "\n      " + std::string(option.summary) + "\n      ";
  out += "example: --" + std::string(option.name);
  if (!is_switch(option)) out += " " + std::string(option.example);
  if (!option.default_text.empty() && !is_switch(option))
    out += "   default: " + std::string(option.default_text);
  out += "   environment: " + variable_name(option);
  if (!option.other_variable.empty()) out += ", " + std::string(option.other_variable);
  out += "\n";
}

}  // namespace

std::string print_config(const NodeOptions& options) {
  std::string out;
  const auto table = option_table();
  for (std::size_t i = 0; i < table.size() && i < options.settings.size(); ++i) {
    const auto& setting = options.settings[i];
    // What makes no sense inside a file is shown as a comment, so that the output is one.
    if (!table[i].in_file) out += "# ";
    out += file_key(table[i]) + " = " + toml_value(table[i], setting.text) + "  # from " +
           source_text(setting.source) + "\n";
  }
  return out;
}

std::string options_help() {
  std::string out;
  std::string_view group;
  for (const auto& option : option_table()) {
    if (option.group != group) {
      group = option.group;
      out += "\n" + std::string(group) + "\n";
    }
    append_option(out, option);
  }
  return out;
}

}  // namespace dhrt
