#include "node/command_table.h"

#include <algorithm>
#include <array>
#include <string>

namespace dhrt {

namespace {

constexpr std::size_t any = 1048576;
using Place = CommandInfo::Place;

constexpr std::array commands{
    CommandInfo{"auth", "auth <token>", "Show who you are on this connection.", 2, 2, false, "",
                "Node", Role::none, Place::node},
    CommandInfo{"backup", "backup <name>", "Copy all files, as of one moment each, while serving.",
                2, 2, false, "", "Node", Role::admin, Place::node},
    CommandInfo{"collections", "collections", "List the collections that you may read.", 1, 1,
                false, "", "Collections", Role::read, Place::figures},
    CommandInfo{"count", "count [collection]", "Count the keys of a collection.", 1, 2, false, "",
                "Keys", Role::read, Place::first_or_default},
    CommandInfo{"create", "create <collection> [--memory|--disk] [--ttl D]", "Make a collection.",
                2, 2, true, "memory disk ttl replicas on partitions on-conflict miss",
                "Collections", Role::admin, Place::first},
    CommandInfo{"del", "del [collection] <key>", "Delete a key.", 2, 3, true, "ack", "Keys",
                Role::write, Place::first_of_all},
    CommandInfo{"drop", "drop <collection>", "Remove a collection and all in it, on every node.", 2,
                2, true, "", "Collections", Role::admin, Place::first},
    CommandInfo{"evict", "evict <node>", "Give up a node that is gone, and take its vote.", 2, 2,
                true, "", "Node", Role::admin, Place::node},
    CommandInfo{"flush", "flush <collection>", "Delete every key of a collection, on every node.",
                2, 2, true, "", "Collections", Role::write, Place::first},
    CommandInfo{"get", "get [collection] <key>", "Show the value of a key.", 2, 3, false, "read",
                "Keys", Role::read, Place::first_of_all},
    CommandInfo{"has", "has [collection] <key>", "Ask whether a key exists.", 2, 3, false, "read",
                "Keys", Role::read, Place::first_of_all},
    CommandInfo{"help", "help [command]", "Explain the commands.", 1, 2, false, "", "Node",
                Role::none, Place::node},
    CommandInfo{"keys", "keys [collection [prefix]]", "List keys, in order.", 1, 3, false, "",
                "Keys", Role::read, Place::first_or_default},
    CommandInfo{"leave", "leave", "Leave for good: the node votes no more, and ends.", 1, 1, true,
                "", "Node", Role::admin, Place::node},
    CommandInfo{"nodes", "nodes", "List the nodes of the cluster and how they are.", 1, 1, false,
                "", "Node", Role::read, Place::figures},
    CommandInfo{"ping", "ping", "Ask whether the node answers.", 1, any, false, "", "Node",
                Role::none, Place::node},
    CommandInfo{"quit", "quit", "Close the connection.", 1, 1, false, "", "Node", Role::none,
                Place::node},
    CommandInfo{"reload", "reload", "Read the cluster key again; a new one holds from now on.", 1,
                1, false, "", "Node", Role::admin, Place::node},
    CommandInfo{"scan", "scan <collection> [--from K] [--limit N]",
                "Read keys and values in order, in pages.", 2, 2, false, "from limit prefix full",
                "Keys", Role::read, Place::first},
    CommandInfo{"set", "set [collection] <key> <value> [--ttl D] [--if-absent|--if-version V]",
                "Store a value.", 3, 4, true, "ttl if-version if-absent type ack", "Keys",
                Role::write, Place::first_of_all},
    CommandInfo{"stats", "stats", "Show figures of the node.", 1, 1, false, "", "Node", Role::read,
                Place::figures},
    CommandInfo{"watch", "watch <collection> [prefix] [--since TOKEN]",
                "Follow what changes, from now on or from a token on.", 2, 3, false, "since",
                "Keys", Role::read, Place::first},
};
static_assert(std::ranges::is_sorted(commands, {}, &CommandInfo::name));  // find bisects.

}  // namespace

std::span<const CommandInfo> command_table() {
  return commands;
}

const CommandInfo* find_command(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto found =
      std::ranges::lower_bound(commands, std::string_view(lower), {}, &CommandInfo::name);
  return found != commands.end() && found->name == lower ? &*found : nullptr;
}

}  // namespace dhrt
