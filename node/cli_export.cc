#include "node/cli_export.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <ostream>
#include <unistd.h>

#include "node/cli_client.h"
#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_import_line.h"
#include "node/cli_interrupt.h"
#include "node/cli_progress.h"
#include "node/cli_scan.h"
#include "node/cli_target.h"
#include "node/dump_file.h"
#include "node/dump_line.h"

namespace dhrt {

namespace {

constexpr std::size_t page_records = 1000;

struct ExportPlan {
  std::string file;
  std::string collection;  // Empty: all.
  bool resume = false;
  bool json = false;
  Target target;

  bool to_stdout() const { return file == "-"; }
  std::string partial() const { return file + ".partial"; }
};

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

Result<ExportPlan> read_plan(const Arguments& arguments, const Environment& environment) {
  if (arguments.words.size() != 2)
    return refuse("export takes one file, e.g. dhrt export all.zst; - is standard output");
  const auto target = read_target(arguments, environment);
  if (!target) return tl::unexpected(target.error());
  ExportPlan plan{.file = arguments.words[1],
                  .collection = std::string(arguments.value_of("collection").value_or("")),
                  .resume = arguments.has("resume"),
                  .json = arguments.has("json"),
                  .target = *target};
  if (plan.to_stdout() && plan.resume)
    return refuse("--resume goes on with a file; standard output is none");
  if (plan.to_stdout()) return plan;
  if (access(plan.file.c_str(), F_OK) == 0)
    return refuse(plan.file + " is there already; remove it, or choose another name");
  const bool begun = access(plan.partial().c_str(), F_OK) == 0;
  if (begun && !plan.resume)
    return refuse(plan.partial() +
                  " is there, of an export that did not end; go on with --resume, or remove it");
  if (!begun && plan.resume)
    return refuse("there is no " + plan.partial() + " to go on with; leave --resume out");
  return plan;
}

// What a file that was begun holds, and where to go on.
struct Begun {
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;
  std::string collection;  // Of the last whole key; empty: none.
  std::string key;
  LineChain chain;
};

Result<Begun> read_begun(std::FILE* stream, const ExportPlan& plan) {
  Begun begun;
  DumpReader reader(stream, plan.partial(), is_compressed_name(plan.file));
  reader.tail_counts(false);
  for (;;) {
    const auto line = reader.next();
    if (!line) return tl::unexpected(line.error());
    if (!*line) return begun;
    if (line->value().starts_with("{\"" + std::string(dump_end_key)))
      return refuse(plan.partial() + " is complete; rename it to " + plan.file);
    begun.chain.add(**line);
    begun.bytes = reader.bytes();
    if (**line == dump_begin_line()) continue;
    const auto entry = parse_import_line(**line);
    if (!entry)
      return fail(ErrorCode::corrupt, plan.partial() + " is no export (" + entry.error().message +
                                          "); remove it and begin again");
    ++begun.keys;
    begun.collection = entry->collection;
    begun.key = entry->key;
  }
}

class Export {
 public:
  Export(const ExportPlan& plan, std::FILE* stream, Begun begun, Client& client, Console& console)
      : plan_(plan),
        begun_(std::move(begun)),
        client_(client),
        now_(console.now),
        start_(now_()),
        progress_(console.error, console.error_is_terminal, start_),
        writer_(stream, plan.to_stdout() ? "standard output" : plan.partial(),
                is_compressed_name(plan.file)) {}

  Status run() {
    auto collections = read_collections(client_, plan_.target.timeout);
    if (!collections) return tl::unexpected(collections.error());
    if (auto chosen = choose(*collections); !chosen) return chosen;
    if (begun_.bytes == 0)
      if (auto added = add(dump_begin_line()); !added) return added;
    for (const auto& collection : *collections) {
      if (collection.name < begun_.collection) continue;
      const auto copied = copy(collection.name);
      if (!copied) return copied;
    }
    const std::string end = dump_end_line(begun_.keys, begun_.chain.text());
    if (auto added = writer_.add(end); !added) return added;
    return writer_.flush(true);
  }
  // What came so far is kept, so that --resume finds it.
  void keep() { (void)writer_.flush(true); }
  void clear() { progress_.clear(); }
  std::uint64_t keys() const { return begun_.keys; }
  Duration elapsed() const { return now_() - start_; }

 private:
  // In order of name, which --resume relies on.
  Status choose(std::vector<ListedCollection>& collections) {
    if (!plan_.collection.empty()) {
      std::erase_if(collections, [&](const auto& one) { return one.name != plan_.collection; });
      if (collections.empty())
        return refuse("there is no collection '" + plan_.collection +
                      "'; dhrt collections lists them");
    }
    std::ranges::sort(collections, {}, &ListedCollection::name);
    for (const auto& collection : collections)
      state_.bytes_total += collection.keys;
    return {};
  }

  Status copy(const std::string& collection) {
    // Keys are in order; the one behind `key` begins with it and a zero byte, or is larger.
    std::string from;
    if (collection == begun_.collection) from = begun_.key + std::string(1, '\0');
    for (;;) {
      auto page = read_full_page(client_, collection, from, page_records, plan_.target.timeout);
      if (!page) return tl::unexpected(page.error());
      for (DumpEntry& entry : page->entries) {
        entry.collection = collection;
        if (auto added = add(dump_line(entry)); !added) return added;
        ++begun_.keys;
      }
      show();
      if (interrupted()) return fail(ErrorCode::unavailable, "interrupted");
      if (page->next.empty() || page->next == from) return {};
      from = page->next;
    }
  }

  Status add(const std::string& line) {
    begun_.chain.add(line);
    return writer_.add(line);
  }

  void show() {
    state_.keys = begun_.keys;
    state_.bytes = begun_.keys;
    progress_.update(state_, now_());
  }

  const ExportPlan& plan_;
  Begun begun_;
  Client& client_;
  const std::function<Time()>& now_;
  Time start_;
  Progress progress_;
  ProgressState state_;
  DumpWriter writer_;
};

int report(Console& console, const Error& error) {
  complain(console, error.message);
  return exit_code_of(error);
}

void summarize(Export& done, const ExportPlan& plan, Console& console) {
  const double seconds = static_cast<double>(done.elapsed().count()) / 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", seconds);
  if (plan.json && !plan.to_stdout())
    console.out << "{\"exported\":" << done.keys() << ",\"seconds\":" << text << "}\n";
  else
    console.error << "exported " << done.keys() << " keys in " << text << " s\n";
}

Result<Stream> open_file(const ExportPlan& plan) {
  Stream stream(std::fopen(plan.partial().c_str(), plan.resume ? "r+b" : "wb"));
  if (stream) return stream;
  return refuse("cannot write " + plan.partial() + ": " + std::strerror(errno) +
                "; check the path and its permissions");
}

Status go_on_behind(std::FILE* stream, const ExportPlan& plan, std::uint64_t bytes) {
  const auto offset = static_cast<off_t>(bytes);
  if (ftruncate(fileno(stream), offset) == 0 && fseeko(stream, offset, SEEK_SET) == 0) return {};
  return fail(ErrorCode::io, "cutting " + plan.partial() + " failed: " + std::strerror(errno));
}

Status publish(const ExportPlan& plan) {
  if (std::rename(plan.partial().c_str(), plan.file.c_str()) == 0) return {};
  return fail(ErrorCode::io, "renaming " + plan.partial() + " to " + plan.file +
                                 " failed: " + std::strerror(errno) + "; it is complete");
}

int export_to(const ExportPlan& plan, std::FILE* stream, Begun begun, Client& client,
              Console& console) {
  Export work(plan, stream, std::move(begun), client, console);
  Status done = work.run();
  work.clear();
  if (done && !plan.to_stdout()) done = publish(plan);
  if (done) {
    summarize(work, plan, console);
    return exit_code::done;
  }
  if (plan.to_stdout()) return report(console, done.error());
  if (work.keys() == 0) {
    std::remove(plan.partial().c_str());
    return report(console, done.error());
  }
  work.keep();
  complain(console, done.error().message + "; " + std::to_string(work.keys()) + " keys are in " +
                        plan.partial() + ", go on with --resume");
  return exit_code_of(done.error());
}

}  // namespace

int run_export(const std::vector<std::string>& words, Console& console) {
  const auto arguments = split_command_line(words, std::string(export_flags));
  if (!arguments) return report(console, arguments.error());
  if (arguments->has("help")) {
    for (const auto& command : local_commands())
      if (command.name == "export") console.out << local_command_help(command);
    return exit_code::done;
  }
  const auto plan = read_plan(*arguments, console.environment);
  if (!plan) return report(console, plan.error());
  // Before a file is made: a wrong address leaves nothing behind.
  auto client = connect_to(plan->target);
  if (!client) return report(console, client.error());
  if (plan->to_stdout()) return export_to(*plan, stdout, {}, *client, console);
  const auto stream = open_file(*plan);
  if (!stream) return report(console, stream.error());
  Begun begun;
  if (plan->resume) {
    auto found = read_begun(stream->get(), *plan);
    if (!found) return report(console, found.error());
    begun = std::move(*found);
    if (auto ready = go_on_behind(stream->get(), *plan, begun.bytes); !ready)
      return report(console, ready.error());
  }
  return export_to(*plan, stream->get(), std::move(begun), *client, console);
}

}  // namespace dhrt
