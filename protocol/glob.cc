#include "protocol/glob.h"

#include <algorithm>

namespace dhrt {

namespace {

// `at` is behind "[" and moves behind "]". Says whether the byte is one of the class.
bool in_class(Bytes pattern, std::size_t& at, unsigned char byte) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      ++at;
      found = found || static_cast<unsigned char>(pattern[at]) == byte;
      continue;
    }
    auto low = static_cast<unsigned char>(pattern[at]);
    auto high = low;
    if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      high = static_cast<unsigned char>(pattern[at + 2]);
      at += 2;
    }
    if (low > high) std::swap(low, high);
    found = found || (low <= byte && byte <= high);
  }
  if (at < pattern.size()) ++at;
  return found != negated;
}

// One element of the pattern that is no '*', against one byte; `at` moves behind it.
bool matches_one(Bytes pattern, std::size_t& at, char byte) {
  const char element = pattern[at++];
  if (element == '?') return true;
  if (element == '[') return in_class(pattern, at, static_cast<unsigned char>(byte));
  if (element == '\\' && at < pattern.size()) return pattern[at++] == byte;
  return element == byte;
}

}  // namespace

// On a mismatch the last '*' takes one byte more; an earlier one need never be tried again.
bool glob_matches(Bytes pattern, Bytes text) {
  std::size_t at = 0;
  std::size_t read = 0;
  std::size_t after_star = Bytes::npos;
  std::size_t star_read = 0;
  while (read < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      after_star = ++at;
      star_read = read;
      continue;
    }
    if (at < pattern.size() && matches_one(pattern, at, text[read])) {
      ++read;
      continue;
    }
    if (after_star == Bytes::npos) return false;
    at = after_star;
    read = ++star_read;
  }
  return pattern.find_first_not_of('*', at) == Bytes::npos;
}

Bytes glob_prefix(Bytes pattern) {
  return pattern.substr(0, std::min(pattern.find_first_of("*?[\\"), pattern.size()));
}

}  // namespace dhrt
