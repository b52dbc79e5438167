// dhrt-bench-storage: what the storage engine costs by itself, without clients and sockets.
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <unistd.h>

#include "tests/bench/storage/figures.h"

namespace {

using dhrt::bench::Group;

constexpr const char* usage =
    "usage: dhrt-bench-storage [--quick] [--only NAME] [--records N] [--dir PATH] [--json]\n"
    "\n"
    "Measures the storage engine in this process, prints a table with targets.\n"
    "\n"
    "  --quick        20,000 records instead of 1 or 10 million; the figures mean little\n"
    "  --only NAME    only groups whose name contains this; --list names them\n"
    "  --records N    so many records\n"
    "  --dir PATH     where files are made (default: the system's temporary folder)\n"
    "  --json         one JSON object instead of the table\n"
    "  -h, --help     this text\n"
    "\n"
    "exit codes: 0 measured, 1 something failed, 2 usage. A missed target is no failure.\n";

struct Settings {
  dhrt::bench::StorageBenchOptions options;
  std::string only;
  std::string parent = std::filesystem::temp_directory_path();
  bool json = false;
  bool list = false;
};

bool read_arguments(int argc, char** argv, Settings& settings) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--quick") {
      settings.options.quick = true;
    } else if (flag == "--json") {
      settings.json = true;
    } else if (flag == "--list") {
      settings.list = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (flag == "--only") {
      settings.only = argv[++i];
    } else if (flag == "--dir") {
      settings.parent = argv[++i];
    } else if (flag == "--records") {
      const std::string_view text = argv[++i];
      const auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), settings.options.records);
      if (error != std::errc() || end != text.data() + text.size()) return false;
    } else {
      return false;
    }
  }
  return true;
}

// Runs one group in a directory of its own.
dhrt::Result<dhrt::bench::Figures> run_in_directory(const Group& group, const Settings& settings) {
  std::string path = settings.parent + "/dhrt-bench-storage-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return dhrt::fail(dhrt::ErrorCode::io, "make a directory " + path);
  dhrt::bench::StorageBenchOptions options = settings.options;
  options.directory = path;
  auto figures = group.run(options);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return figures;
}

int run_groups(const Settings& settings) {
  std::vector<Group> groups;
  for (const auto& part : {dhrt::bench::log_groups(), dhrt::bench::engine_groups(),
                           dhrt::bench::loop_groups(), dhrt::bench::raw_groups()})
    groups.insert(groups.end(), part.begin(), part.end());
  std::string json;
  for (const Group& group : groups) {
    if (std::string_view(group.name).find(settings.only) == std::string_view::npos) continue;
    if (settings.list) {
      std::printf("%-16s %s\n", group.name, group.what);
      continue;
    }
    const auto figures = run_in_directory(group, settings);
    if (!figures) {
      std::fprintf(stderr, "dhrt-bench-storage: %s: %s\n", group.name,
                   figures.error().message.c_str());
      return 1;
    }
    json += (json.empty() ? "" : ",") + to_json(group, *figures);
    if (!settings.json) print_table(group, *figures);
  }
  if (settings.json) std::printf("{\"groups\":[%s]}\n", json.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc == 2 ? argv[1] : "";
  if (first == "-h" || first == "--help") {
    std::fputs(usage, stdout);
    return 0;
  }
  Settings settings;
  if (!read_arguments(argc, argv, settings)) {
    std::fprintf(stderr, "dhrt-bench-storage: wrong arguments; see --help\n");
    return 2;
  }
  return run_groups(settings);
}
