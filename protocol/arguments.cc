#include "protocol/arguments.h"

#include <algorithm>
#include <numeric>

namespace dhrt {

namespace {

// No flag is nearly as long; what is longer is not compared with any.
constexpr std::size_t flag_bytes_max = 32;

std::vector<Bytes> names_in(Bytes list) {
  std::vector<Bytes> names;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (end > 0) names.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return names;
}

bool lists(Bytes list, Bytes name) {
  const auto names = names_in(list);
  return std::ranges::find(names, name) != names.end();
}

// Edit distance (Wagner and Fischer 1974), one row at a time.
std::size_t distance(Bytes left, Bytes right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

tl::unexpected<Error> bad_flag(Bytes name, const std::string& what) {
  const std::string cut = name.size() > flag_bytes_max ? "..." : "";
  return fail(ErrorCode::invalid_argument,
              "flag --" + std::string(name.substr(0, flag_bytes_max)) + cut + " " + what);
}

tl::unexpected<Error> unknown_flag(Bytes name, Bytes known) {
  const auto names = names_in(known);
  if (names.empty())
    return bad_flag(name, "is unknown: the command takes no flags; quote it if it is a word");
  const Bytes compared = name.substr(0, flag_bytes_max);
  const auto nearest = std::ranges::min_element(
      names, {}, [&](Bytes candidate) { return distance(compared, candidate); });
  return bad_flag(name, "is unknown; the nearest is --" + std::string(*nearest));
}

class Splitter {
 public:
  Splitter(std::vector<text::Token>& tokens, const FlagNames& names)
      : tokens_(tokens), names_(names) {}

  Result<Arguments> split() {
    bool flags_end = false;
    for (; at_ < tokens_.size(); ++at_) {
      const bool flag = !flags_end && is_flag(tokens_[at_]);
      if (flag && tokens_[at_].text == "--") {
        flags_end = true;
      } else if (!flag) {
        arguments_.words.push_back(std::move(tokens_[at_].text));
      } else if (auto taken = take_flag(tokens_[at_].text); !taken) {
        return tl::unexpected(std::move(taken.error()));
      }
    }
    return std::move(arguments_);
  }

 private:
  static bool is_flag(const text::Token& token) {
    return !token.quoted && token.text.starts_with("--");
  }

  Status take_flag(Bytes token) {
    const std::size_t equals = token.find('=');
    const bool has_value = equals != Bytes::npos;
    const Bytes name = token.substr(2, has_value ? equals - 2 : equals);
    if (!lists(names_.known, name)) return unknown_flag(name, names_.known);
    if (arguments_.has(name)) return bad_flag(name, "is given twice; give it once");
    if (lists(names_.without_value, name)) {
      if (has_value) return bad_flag(name, "takes no value; leave out what follows '='");
      arguments_.flags.emplace_back(name, "");
    } else if (has_value) {
      arguments_.flags.emplace_back(name, token.substr(equals + 1));
    } else if (at_ + 1 < tokens_.size() && !is_flag(tokens_[at_ + 1])) {
      arguments_.flags.emplace_back(name, std::move(tokens_[++at_].text));
    } else {
      return bad_flag(name, "has no value; give one, e.g. --" + std::string(name) + "=VALUE");
    }
    return {};
  }

  std::vector<text::Token>& tokens_;
  const FlagNames& names_;
  Arguments arguments_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<Bytes> Arguments::value_of(Bytes flag) const {
  const auto found = std::ranges::find(flags, flag, [](const auto& f) { return Bytes(f.first); });
  if (found == flags.end()) return {};
  return Bytes(found->second);
}

Result<Arguments> split_arguments(std::vector<text::Token> tokens, const FlagNames& names) {
  return Splitter(tokens, names).split();
}

}  // namespace dhrt
