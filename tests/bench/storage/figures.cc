#include "tests/bench/storage/figures.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <unistd.h>

namespace dhrt::bench {

namespace {

double cpu_now() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// splitmix64: every number goes to another one, so keys are different.
std::uint64_t scatter(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string to_text(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), value >= 1000 ? "%.0f" : "%.3f", value);
  return text.data();
}

std::string verdict_of(const Figure& figure) {
  if (!figure.target) return "";
  const std::string target = "target <= " + to_text(*figure.target);
  if (figure.value <= *figure.target) return target + ": ok";
  const double over = (figure.value - *figure.target) / *figure.target * 100;
  return target + ": MISSED by " + to_text(over) + " %";
}

}  // namespace

Stopwatch::Stopwatch() : began_(std::chrono::steady_clock::now()), cpu_began_(cpu_now()) {}

double Stopwatch::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

double Stopwatch::cpu_seconds() const {
  return cpu_now() - cpu_began_;
}

void write_random_key(std::uint64_t number, std::string& key) {
  const std::array<std::uint64_t, 2> words{scatter(number), scatter(~number)};
  key.resize(sizeof words);
  std::memcpy(key.data(), words.data(), sizeof words);
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void print_table(const Group& group, const Figures& figures) {
  std::printf("\n%s: %s\n", group.name, group.what);
  for (const Figure& figure : figures) {
    std::printf("  %-44s %12s %-10s %s\n", figure.name.c_str(), to_text(figure.value).c_str(),
                figure.unit.c_str(), (verdict_of(figure) + figure.note).c_str());
  }
  std::fflush(stdout);
}

std::string to_json(const Group& group, const Figures& figures) {
  std::string out =
      "{\"title\":" + quoted(group.name) + ",\"what\":" + quoted(group.what) + ",\"rows\":[";
  for (const Figure& figure : figures) {
    if (out.back() == '}') out += ',';
    const std::string value = to_text(figure.value);
    out += "{\"name\":" + quoted(figure.name) + ",\"value\":" + value +
           ",\"unit\":" + quoted(figure.unit);
    if (figure.target) {
      out += ",\"targets\":[{\"what\":" + quoted(figure.name) + ",\"value\":" + value +
             ",\"limit\":" + to_text(*figure.target) +
             ",\"at_most\":true,\"met\":" + (figure.value <= *figure.target ? "true" : "false") +
             "}]";
    }
    out += '}';
  }
  return out + "]}";
}

}  // namespace dhrt::bench
