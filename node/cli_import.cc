#include "node/cli_import.h"

#include <charconv>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <istream>
#include <ostream>

#include "node/cli_client.h"
#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_import_line.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/cli_progress.h"
#include "node/cli_target.h"
#include "node/dump_file.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr std::uint64_t errors_shown_max = 5;
constexpr std::uint64_t pipeline_max = 1000000;
// What may wait for the socket: enough to keep it busy, little enough for any machine.
constexpr std::size_t queued_bytes_max = std::size_t{1} << 20;
constexpr Duration tick{100};

struct ImportPlan {
  std::string file;
  std::string collection;
  ImportFormat format = ImportFormat::ndjson;
  std::uint64_t window = 0;
  Target target;
  bool json = false;
};

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

Result<std::uint64_t> parse_window(Bytes text) {
  std::uint64_t window = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, window);
  if (error != std::errc() || stop != end || window < 1 || window > pipeline_max)
    return refuse("--pipeline is '" + std::string(text) +
                  "'; give a number from 1 to 1000000, e.g. 1024");
  return window;
}

Result<ImportPlan> read_plan(const Arguments& arguments, const Environment& environment) {
  if (arguments.words.size() != 2)
    return refuse("import takes one file, e.g. dhrt import words.ndjson; - is standard input");
  const Bytes format_name = arguments.value_of("format").value_or("ndjson");
  const auto format = parse_import_format(format_name);
  if (!format)
    return refuse("--format is '" + std::string(format_name) + "'; give ndjson or words");
  const auto window = parse_window(arguments.value_of("pipeline").value_or("1024"));
  if (!window) return tl::unexpected(window.error());
  const auto target = read_target(arguments, environment);
  if (!target) return tl::unexpected(target.error());
  return ImportPlan{.file = arguments.words[1],
                    .collection = std::string(arguments.value_of("collection").value_or("")),
                    .format = *format,
                    .window = *window,
                    .target = *target,
                    .json = arguments.has("json")};
}

// A line on its way. What is done is counted when its answer comes, not when it is read.
struct Sent {
  std::uint64_t line_number;
  std::uint64_t bytes_end;  // Of the file, up to its end.
};

// Lines of a stream that an interrupt ends.
class StreamLines final : public LineSource {
 public:
  StreamLines(std::istream& input, std::string name) : input_(input), name_(std::move(name)) {}

  Result<std::optional<std::string>> next() override {
    std::string line;
    if (std::getline(input_, line)) {
      bytes_ += line.size() + 1;
      return std::optional<std::string>(std::move(line));
    }
    // A file that ends and one that cannot be read on look alike to getline.
    if (input_.bad()) return fail(ErrorCode::io, "reading " + name_ + " failed");
    return std::optional<std::string>();
  }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  std::istream& input_;
  std::string name_;
  std::uint64_t bytes_ = 0;
};

class Import {
 public:
  Import(const ImportPlan& plan, LineSource& input, std::uint64_t bytes_total, Client& client,
         Console& console)
      : plan_(plan),
        input_(input),
        client_(client),
        console_(console),
        start_(monotonic_now()),
        progress_(console.error, console.error_is_terminal, start_) {
    state_.bytes_total = bytes_total;
  }

  int run() {
    const Status moved = move_all();
    progress_.clear();
    if (!moved) {
      complain(console_, moved.error().message + "; " + std::to_string(state_.keys) +
                             " keys were imported, the import can be repeated");
    }
    summarize();
    if (!moved) return auth_failed_ ? exit_code::auth : exit_code_of(moved.error());
    return state_.errors == 0 ? exit_code::done : exit_code::server_error;
  }

 private:
  Status move_all() {
    Time deadline = monotonic_now() + plan_.target.timeout;
    std::vector<Reply> replies;
    for (;;) {
      if (auto filled = fill_window(); !filled) return filled;
      if (waiting_.empty()) return end_status();
      replies.clear();
      if (auto moved = client_.exchange(tick, replies); !moved) return moved;
      for (const auto& reply : replies)
        if (auto taken = take(reply); !taken) return taken;
      const Time now = monotonic_now();
      progress_.update(state_, now);
      if (!replies.empty()) deadline = now + plan_.target.timeout;
      if (now >= deadline)
        return fail(ErrorCode::timeout, to_text(plan_.target.host) +
                                            " stopped answering; give it longer with --timeout");
    }
  }

  Status fill_window() {
    while (!ended_ && waiting_.size() < plan_.window && client_.queued_bytes() < queued_bytes_max) {
      if (interrupted()) return {};
      const auto line = input_.next();
      if (!line) return tl::unexpected(line.error());
      ended_ = !*line;
      if (*line) take_line(**line);
    }
    return {};
  }

  void take_line(const std::string& text) {
    ++line_number_;
    const auto line =
        import_line({.format = plan_.format, .collection = plan_.collection, .now = wall_now()},
                    line_number_, text);
    if (!line) return count_error(line_number_, line.error().message);
    if (line->kind == ImportLine::Kind::begin) is_export_ = true;
    if (line->kind == ImportLine::Kind::end) {
      export_end_ = line->end;
      if (line->end.keys != keys_read_ || line->end.checksum != chain_.text())
        count_error(line_number_,
                    "the lines before are not those that were exported (their "
                    "checksum or number differs); use another copy of the file");
      return;
    }
    chain_.add(text);
    if (line->kind == ImportLine::Kind::expired) ++expired_;
    if (line->kind == ImportLine::Kind::key || line->kind == ImportLine::Kind::expired)
      ++keys_read_;
    if (line->kind != ImportLine::Kind::key) return;
    client_.queue(text::to_line(line->tokens) + "\n");
    waiting_.push_back({line_number_, input_.bytes()});
  }

  Status end_status() {
    if (interrupted()) return fail(ErrorCode::unavailable, "interrupted");
    if (is_export_ && !export_end_)
      count_error(line_number_, "the file ends here, but the export did not: keys are missing");
    return {};
  }

  Status take(const Reply& reply) {
    if (waiting_.empty())
      return fail(ErrorCode::corrupt,
                  to_text(plan_.target.host) + " answers more than it was asked");
    const Sent sent = waiting_.front();
    waiting_.pop_front();
    state_.bytes = sent.bytes_end;
    const auto* error = std::get_if<ReplyError>(&reply.value);
    if (error == nullptr) {
      ++state_.keys;
      return {};
    }
    auth_failed_ = exit_code_of(*error) == exit_code::auth;
    if (auth_failed_) return fail(ErrorCode::unavailable, printable(error->message));
    count_error(sent.line_number, error->message);
    return {};
  }

  void count_error(std::uint64_t line, const std::string& message) {
    if (++state_.errors > errors_shown_max) return;
    progress_.clear();
    complain(console_, plan_.file + ":" + std::to_string(line) + ": " + printable(message));
  }

  void summarize() {
    if (state_.errors > errors_shown_max)
      complain(console_, std::to_string(state_.errors - errors_shown_max) + " more errors");
    const auto elapsed = monotonic_now() - start_;
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3f", static_cast<double>(elapsed.count()) / 1000);
    if (plan_.json) {
      console_.out << "{\"imported\":" << state_.keys << ",\"errors\":" << state_.errors
                   << ",\"expired\":" << expired_ << ",\"seconds\":" << seconds << "}\n";
    } else {
      console_.error << "imported " << state_.keys << " keys in " << seconds << " s, "
                     << state_.errors << " errors"
                     << (expired_ > 0 ? ", " + std::to_string(expired_) + " had expired" : "")
                     << "\n";
    }
  }

  const ImportPlan& plan_;
  LineSource& input_;
  Client& client_;
  Console& console_;
  Time start_;
  Progress progress_;
  ProgressState state_;
  std::uint64_t line_number_ = 0;
  bool ended_ = false;
  bool is_export_ = false;
  std::optional<ExportEnd> export_end_;
  LineChain chain_;
  std::uint64_t keys_read_ = 0;
  std::uint64_t expired_ = 0;
  std::deque<Sent> waiting_;  // Oldest first.
  bool auth_failed_ = false;
};

int report(Console& console, const Error& error) {
  complain(console, error.message);
  return exit_code_of(error);
}

int import_from(const ImportPlan& plan, LineSource& input, std::uint64_t bytes_total,
                Console& console) {
  auto client = connect_to(plan.target);
  if (!client) return report(console, client.error());
  return Import(plan, input, bytes_total, *client, console).run();
}

}  // namespace

int run_import(const std::vector<std::string>& words, Console& console) {
  const auto arguments = split_command_line(words, std::string(import_flags));
  if (!arguments) return report(console, arguments.error());
  if (arguments->has("help")) {
    for (const auto& command : local_commands())
      if (command.name == "import") console.out << local_command_help(command);
    return exit_code::done;
  }
  const auto plan = read_plan(*arguments, console.environment);
  if (!plan) return report(console, plan.error());
  if (plan->file == "-") {
    StreamLines lines(console.in, "standard input");
    return import_from(*plan, lines, 0, console);
  }
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(plan->file, error);
  const Stream compressed(is_compressed_name(plan->file) ? std::fopen(plan->file.c_str(), "rb")
                                                         : nullptr);
  std::ifstream file(plan->file, std::ios::binary);
  if (is_folder || !file) {
    complain(console, "cannot read " + plan->file + "; check the path and its permissions");
    return exit_code::usage;
  }
  const auto size = std::filesystem::file_size(plan->file, error);  // Fails for a pipe.
  const std::uint64_t bytes_total = error ? 0 : size;
  if (compressed) {
    DumpReader lines(compressed.get(), plan->file, true);
    return import_from(*plan, lines, bytes_total, console);
  }
  StreamLines lines(file, plan->file);
  return import_from(*plan, lines, bytes_total, console);
}

}  // namespace dhrt
