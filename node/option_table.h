// The options of a node as data: one row per option, from which flags, variables, keys of the
// configuration file, checks and help are made.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "node/options.h"

namespace dhrt {

// How the text of an option becomes its field, and what is checked on the way.
struct TextOption {
  std::string NodeOptions::*field;
  bool may_be_empty;
};
struct SwitchOption {
  bool NodeOptions::*field;
};
struct DurationOption {
  Duration NodeOptions::*field;
  bool may_be_zero;
};
struct SizeOption {
  std::uint64_t NodeOptions::*field;
  std::uint64_t min, max;
  std::string_view zero_word = {};  // A word that may stand instead of a size, and means 0.
};
struct CountOption {
  std::uint64_t NodeOptions::*field;
  std::uint64_t min, max;
};
struct LoopOption {};  // --cpu-num: a count or "auto".
struct ChoiceOption {
  std::span<const std::string_view> words;
  void (*choose)(NodeOptions& options, std::size_t word);
};
struct EventsOption {};  // --notify-keyspace-events: letters.
struct BindOption {};
struct AdvertiseOption {};
struct MeshUrlOption {};  // --mesh-network-url: a URL without path.
struct ListenOption {};   // Endpoints with commas between them.
struct OriginOption {};   // Of web pages, with commas between them.
struct PortOption {
  std::uint64_t NodeOptions::*field;
};
struct PathListOption {  // With commas between them.
  std::vector<std::string> NodeOptions::*field;
  std::size_t count_max;
};
struct HostOption {  // Empty: the host of --bind.
  std::string NodeOptions::*field;
};
struct JoinOption {};  // Addresses with commas between them.

using OptionKind =
    std::variant<TextOption, SwitchOption, DurationOption, SizeOption, CountOption, LoopOption,
                 ChoiceOption, EventsOption, BindOption, AdvertiseOption, MeshUrlOption, JoinOption,
                 ListenOption, OriginOption, PortOption, HostOption, PathListOption>;

struct OptionInfo {
  std::string_view name;  // Of the flag, without dashes in front.
  std::string_view placeholder;
  std::string_view default_text;  // Empty: none.
  std::string_view example;       // A value.
  std::string_view summary;
  std::string_view group;
  OptionKind kind;
  std::string_view other_variable = {};  // Read when the DHRT_ variable is not set.
  bool in_file = true;                   // False: makes no sense inside a configuration file.
};

// Groups stand together, in the order of the help.
std::span<const OptionInfo> option_table();

// May stand more than once; its text is a list with commas.
bool is_list(const OptionInfo& option);
// Takes no value behind it: --memory.
bool is_switch(const OptionInfo& option);
std::string variable_name(const OptionInfo& option);  // DHRT_READ_TIMEOUT
std::string file_key(const OptionInfo& option);       // read_timeout

// Checks `text` and puts it into `options`. `place` says where it stood: "--bind".
Status apply_option(const OptionInfo& option, const std::string& text, const std::string& place,
                    NodeOptions& options);

}  // namespace dhrt
