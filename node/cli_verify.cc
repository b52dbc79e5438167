#include "node/cli_verify.h"

#include <ostream>

#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/cli_progress.h"
#include "protocol/json.h"
#include "storage/verify.h"

namespace dhrt {

namespace {

int report(Console& console, const Error& error) {
  complain(console, error.message);
  if (error.code == ErrorCode::not_found) return exit_code::usage;
  return exit_code_of(error) == exit_code::cannot_connect ? exit_code::interrupted
                                                          : exit_code_of(error);
}

void write_findings(json::Writer& writer, const std::vector<std::string>& findings) {
  writer.key("findings").begin_array();
  for (const auto& finding : findings)
    writer.string(printable(finding));
  writer.end_array();
}

std::string to_json(const VerifyReport& found) {
  json::Writer writer;
  writer.begin_object().key("sound").boolean(found.sound()).key("collections").begin_array();
  for (const FileReport& file : found.files) {
    writer.begin_object().key("name").string(file.collection);
    writer.key("records").number(file.records).key("tombstones").number(file.tombstones);
    writer.key("bytes").number(file.bytes).key("damaged").number(file.damaged);
    writer.key("unindexed").number(file.unindexed);
    write_findings(writer, file.findings);
    writer.end_object();
  }
  writer.end_array().key("logs").begin_array();
  for (const LogReport& log : found.logs) {
    writer.begin_object().key("name").string(log.name).key("frames").number(log.frames);
    writer.key("bytes").number(log.bytes).key("bytes_torn").number(log.bytes_torn).end_object();
  }
  writer.end_array();
  write_findings(writer, found.findings);
  writer.end_object();
  return writer.take();
}

std::string plural(std::uint64_t count, const std::string& name) {
  return std::to_string(count) + " " + name + (count == 1 ? "" : "s");
}

void print(const VerifyReport& found, std::ostream& out) {
  for (const FileReport& file : found.files) {
    out << file.collection << ": " << plural(file.records, "record") << " ("
        << plural(file.tombstones, "tombstone") << "), "
        << (file.sound() ? "sound" : plural(file.damaged, "damaged record")) << "\n";
    if (file.unindexed > 0) out << "  " << file.unindexed << " not in the log index\n";
    for (const auto& finding : file.findings)
      out << "  " << printable(finding) << "\n";
  }
  for (const LogReport& log : found.logs) {
    out << "log of " << log.name << ": " << plural(log.frames, "frame") << ", sound";
    if (log.bytes_torn > 0)
      out << ", and " << plural(log.bytes_torn, "byte") << " of a torn end, which a start cuts off";
    out << "\n";
  }
  for (const auto& finding : found.findings)
    out << printable(finding) << "\n";
  out << (found.sound() ? "everything is sound\n" : "something is damaged\n");
}

}  // namespace

int run_verify(const std::vector<std::string>& words, Console& console) {
  const auto arguments = split_command_line(words, std::string(verify_flags));
  if (!arguments) return report(console, arguments.error());
  if (arguments->has("help")) {
    for (const auto& command : local_commands())
      if (command.name == "verify") console.out << local_command_help(command);
    return exit_code::done;
  }
  if (arguments->words.size() != 2) {
    complain(console, "verify takes one directory, e.g. dhrt verify ./data");
    return exit_code::usage;
  }
  Progress progress(console.error, console.error_is_terminal, console.now());
  const auto found = verify_directory(arguments->words[1], [&](const VerifyProgress& done) {
    ProgressState state{.bytes = done.bytes,
                        .bytes_total = done.bytes_total,
                        .keys = done.records,
                        .unit = "records"};
    progress.update(state, console.now());
    return !interrupted();
  });
  progress.clear();
  if (!found) return report(console, found.error());
  if (arguments->has("json"))
    console.out << to_json(*found) << "\n";
  else
    print(*found, console.out);
  return found->sound() ? exit_code::done : exit_code::server_error;
}

}  // namespace dhrt
