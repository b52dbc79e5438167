#include <utility>

#include "node/command_table.h"
#include "node/commands.h"
#include "node/doorkeeper.h"
#include "protocol/json.h"

namespace dhrt::commands {

namespace {

std::string help_for_all() {
  std::string text;
  for (const Bytes group : {"Keys", "Collections", "Node"}) {
    text += std::string(text.empty() ? "" : "\n") + std::string(group) + "\n";
    for (const CommandInfo& info : command_table()) {
      if (info.group != group) continue;
      text += "  " + std::string(info.usage) + "\n      " + std::string(info.summary) + "\n";
    }
  }
  return text;
}

}  // namespace

void auth(CommandCall& call) {
  Doorkeeper& doorkeeper = *call.server().doorkeeper;
  if (doorkeeper.open()) return call.reply(Reply::error("ERR no token is configured on this node"));
  const auto grant = doorkeeper.take_token(call.words()[1], call.session().client_host());
  if (!grant && grant.error().code == ErrorCode::busy) return call.fail(grant.error());
  if (!grant) return call.reply(Reply::error("WRONGPASS " + grant.error().message));
  call.session().set_grant(**grant);
  call.reply(Reply::ok());
}

// The reply comes when the backup is complete: its path, its files, their bytes.
void backup(CommandCall& call) {
  CommandServer& server = call.server();
  const auto later = call.later();
  const Status started = server.backups->start(
      call.words()[1], server.report.files(),
      [later, &post = server.post](Result<BackupMade> made) {
        post([later, made = std::move(made)] {
          if (!made) return later.fail(made.error());
          json::Writer writer;
          writer.begin_object().key("path").string(json::is_utf8(made->path) ? made->path : "");
          writer.key("collections").number(made->collections);
          writer.key("bytes").number(made->bytes).end_object();
          later.reply(Reply::bulk(writer.take()));
        });
      });
  if (!started) later.fail(started.error());
}

void help(CommandCall& call) {
  if (call.words().size() == 1) return call.reply(Reply::bulk(help_for_all()));
  const CommandInfo* info = find_command(call.words()[1]);
  if (info == nullptr)
    return call.reply(Reply::error("ERR there is no such command; `help` lists them"));
  call.reply(Reply::bulk(std::string(info->usage) + "\n" + std::string(info->summary) + "\n"));
}

void nodes(CommandCall& call) {
  call.reply(Reply::bulk(call.server().report.nodes()));
}

// As Redis answers it: PONG, or what was given.
void ping(CommandCall& call) {
  auto& words = call.words();
  call.reply(words.size() == 1 ? Reply::simple("PONG") : Reply::bulk(std::move(words[1])));
}

void quit(CommandCall& call) {
  call.reply(Reply::ok());
  call.session().close_after_replies();
}

namespace {

// Answers OK, or why not, from whichever thread.
std::function<void(Status)> ok_later(CommandCall& call) {
  return [later = call.later(), &post = call.server().post](Status done) {
    post([later, done = std::move(done)] {
      if (!done) return later.fail(done.error());
      later.reply(Reply::ok());
    });
  };
}

}  // namespace

void evict(CommandCall& call) {
  call.server().evict(std::move(call.words()[1]), ok_later(call));
}

void leave(CommandCall& call) {
  call.server().leave_for_good(ok_later(call));
}

void reload(CommandCall& call) {
  call.server().reload(ok_later(call));
}

void stats(CommandCall& call) {
  call.reply(Reply::bulk(call.server().report.stats()));
}

}  // namespace dhrt::commands
