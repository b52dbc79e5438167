#include "node/identity_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "node/file_descriptor.h"
#include "node/replace_file.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

constexpr std::int64_t format_known = 1;

std::string to_hex(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return {digits.data(), end.ptr};
}

std::string utf8_or_empty(const std::string& text) {
  return json::is_utf8(text) ? text : std::string();
}

void write_member(json::Writer& writer, const Member& member) {
  writer.begin_object();
  writer.key("id").string(to_hex(member.id));
  writer.key("name").string(utf8_or_empty(member.name));
  writer.key("address").string(utf8_or_empty(member.address));
  writer.key("zone").string(utf8_or_empty(member.zone));
  writer.key("epoch").number(std::uint64_t{member.epoch});
  writer.key("incarnation").number(member.incarnation);
  writer.key("liveness").number(static_cast<std::uint64_t>(member.liveness));
  writer.key("died").number(member.died);
  writer.key("synced_epoch").number(std::uint64_t{member.synced.epoch});
  writer.key("synced_incarnation").number(member.synced.incarnation);
  writer.key("protocol_min").number(std::uint64_t{member.protocol_min});
  writer.key("protocol_max").number(std::uint64_t{member.protocol_max});
  writer.key("features").string(to_hex(member.features));
  writer.end_object();
}

void write_ballot(json::Writer& writer, Bytes name, const Ballot& ballot) {
  writer.key(name).begin_array();
  writer.string(to_hex(ballot.round)).string(to_hex(ballot.node));
  if (ballot.retires != 0) writer.string(to_hex(ballot.retires));
  writer.end_array();
}

void write_nodes(json::Writer& writer, Bytes name, const std::vector<NodeId>& nodes) {
  writer.key(name).begin_array();
  for (const NodeId node : nodes)
    writer.string(to_hex(node));
  writer.end_array();
}

void write_layout(json::Writer& writer, const LayoutNotes& notes) {
  writer.key("layout").begin_object();
  writer.key("cluster_high").string(to_hex(notes.cluster.high));
  writer.key("cluster_low").string(to_hex(notes.cluster.low));
  write_nodes(writer, "voters", notes.layout.voters);
  if (!notes.layout.retired.empty()) write_nodes(writer, "retired", notes.layout.retired);
  // Earlier versions only added; the name is theirs.
  write_ballot(writer, "adding", notes.layout.next);
  write_ballot(writer, "promised", notes.promised);
  write_ballot(writer, "accepted", notes.accepted);
  writer.end_object();
}

void write_replacement(json::Writer& writer, const Replacement& replacement) {
  writer.key("replaces").begin_object();
  writer.key("node").string(replacement.node);
  writer.key("id").string(to_hex(replacement.id));
  writer.key("done").boolean(replacement.done);
  writer.end_object();
}

std::optional<std::uint64_t> from_hex(const std::optional<std::string>& digits) {
  std::uint64_t value = 0;
  if (!digits || digits->empty()) return std::nullopt;
  const auto read = std::from_chars(digits->data(), digits->data() + digits->size(), value, 16);
  if (read.ec != std::errc() || read.ptr != digits->data() + digits->size()) return std::nullopt;
  return value;
}

// Fields of one object; the first that is absent or wrong is remembered by name.
class Fields {
 public:
  explicit Fields(const json::Document::Value& object) : object_(object) {}

  std::uint64_t number(Bytes name, std::uint64_t max) {
    const auto member = object_.member(name);
    const auto value = member ? member->integer() : std::nullopt;
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) > max) return missing(name);
    return static_cast<std::uint64_t>(*value);
  }
  std::uint64_t hex(Bytes name) {
    const auto value = from_hex(text(name));
    return value ? *value : missing(name);
  }
  std::vector<std::uint64_t> hexes(Bytes name) {
    std::vector<std::uint64_t> values;
    const auto member = object_.member(name);
    if (!member || !member->is_array()) {
      missing(name);
      return values;
    }
    for (const auto& item : member->items()) {
      const auto value = from_hex(item.string());
      if (!value) missing(name);
      values.push_back(value.value_or(0));
    }
    return values;
  }
  Ballot ballot(Bytes name) {
    const auto values = hexes(name);
    if (values.size() == 2) return {values[0], values[1]};
    if (values.size() == 3) return {values[0], values[1], values[2]};
    missing(name);
    return {};
  }
  std::string text(Bytes name) {
    const auto member = object_.member(name);
    auto value = member ? member->string() : std::nullopt;
    if (!value) missing(name);
    return value.value_or("");
  }
  bool boolean(Bytes name) {
    const auto member = object_.member(name);
    const auto value = member ? member->boolean() : std::nullopt;
    if (!value) missing(name);
    return value.value_or(false);
  }
  Status status() const {
    if (bad_.empty()) return {};
    return fail(ErrorCode::corrupt, "field \"" + bad_ + "\" is absent or wrong");
  }

 private:
  std::uint64_t missing(Bytes name) {
    if (bad_.empty()) bad_ = name;
    return 0;
  }
  json::Document::Value object_;
  std::string bad_;
};

constexpr auto any_u32 = std::uint64_t{UINT32_MAX};
constexpr auto any_i64 = static_cast<std::uint64_t>(INT64_MAX);

Result<Member> read_member(const json::Document::Value& value) {
  Fields fields(value);
  Member member;
  member.id = fields.hex("id");
  member.name = fields.text("name");
  member.address = fields.text("address");
  member.zone = fields.text("zone");
  member.epoch = static_cast<std::uint32_t>(fields.number("epoch", any_u32));
  member.incarnation = fields.number("incarnation", any_i64);
  member.liveness = static_cast<Liveness>(
      fields.number("liveness", static_cast<std::uint64_t>(Liveness::evicted)));
  member.died = fields.number("died", any_i64);
  member.synced.epoch = static_cast<std::uint32_t>(fields.number("synced_epoch", any_u32));
  member.synced.incarnation = fields.number("synced_incarnation", any_i64);
  member.protocol_min = static_cast<std::uint8_t>(fields.number("protocol_min", 255));
  member.protocol_max = static_cast<std::uint8_t>(fields.number("protocol_max", 255));
  member.features = fields.hex("features");
  if (auto status = fields.status(); !status) return tl::unexpected(status.error());
  return member;
}

Result<LayoutNotes> read_layout(const json::Document::Value& value) {
  Fields fields(value);
  LayoutNotes notes;
  notes.cluster = {fields.hex("cluster_high"), fields.hex("cluster_low")};
  notes.layout.voters = fields.hexes("voters");
  if (value.member("retired")) notes.layout.retired = fields.hexes("retired");
  notes.layout.next = fields.ballot("adding");
  notes.promised = fields.ballot("promised");
  notes.accepted = fields.ballot("accepted");
  if (auto status = fields.status(); !status) return tl::unexpected(status.error());
  return notes;
}

tl::unexpected<Error> io_error(const std::string& path, const char* doing) {
  const int number = errno;
  return fail(number == ENOSPC ? ErrorCode::full : ErrorCode::io,
              std::string(doing) + " " + path + ": " + std::strerror(number));
}

}  // namespace

std::string encode_identity(const NodeIdentity& identity) {
  json::Writer writer;
  writer.begin_object();
  writer.key("format").number(format_known);
  writer.key("node_id").string(to_hex(identity.node_id));
  writer.key("epoch").number(std::uint64_t{identity.epoch});
  writer.key("incarnation").number(identity.incarnation);
  writer.key("hlc_ceiling").number(identity.hlc_ceiling);
  writer.key("cluster_high").string(to_hex(identity.belonging.id.high));
  writer.key("cluster_low").string(to_hex(identity.belonging.id.low));
  writer.key("provisional").boolean(identity.belonging.provisional);
  writer.key("peers").begin_array();
  for (const Member& member : identity.members)
    write_member(writer, member);
  writer.end_array();
  write_nodes(writer, "compared", identity.compared);
  write_layout(writer, identity.layout);
  if (!identity.replacement.node.empty()) write_replacement(writer, identity.replacement);
  writer.end_object();
  return writer.take() + "\n";
}

Result<NodeIdentity> decode_identity(Bytes text) {
  const auto document = json::Document::parse(text);
  if (!document) return tl::unexpected(document.error());
  if (!document->root().is_object()) return fail(ErrorCode::corrupt, "it is not a JSON object");
  Fields fields(document->root());
  if (fields.number("format", any_i64) != format_known)
    return fail(ErrorCode::corrupt, "its format is not 1; another version of dhrt wrote it");
  NodeIdentity identity;
  identity.node_id = fields.hex("node_id");
  identity.epoch = static_cast<std::uint32_t>(fields.number("epoch", any_u32 - 1));
  identity.incarnation = fields.number("incarnation", any_i64 - 1);
  // Absent in files of earlier versions.
  if (document->root().member("hlc_ceiling"))
    identity.hlc_ceiling = fields.number("hlc_ceiling", any_i64);
  identity.belonging.id = {fields.hex("cluster_high"), fields.hex("cluster_low")};
  identity.belonging.provisional = fields.boolean("provisional");
  if (auto status = fields.status(); !status) return tl::unexpected(status.error());
  if (identity.node_id == 0) return fail(ErrorCode::corrupt, "field \"node_id\" is 0");
  const auto peers = document->root().member("peers");
  if (!peers || !peers->is_array())
    return fail(ErrorCode::corrupt, "field \"peers\" is absent or wrong");
  for (const auto& peer : peers->items()) {
    auto member = read_member(peer);
    if (!member) return fail(member.error(), "peers");
    identity.members.push_back(std::move(*member));
  }
  // Absent in files of earlier versions: then everybody is compared once.
  if (const auto compared = document->root().member("compared")) {
    if (!compared->is_array()) return fail(ErrorCode::corrupt, "field \"compared\" is wrong");
    for (const auto& node : compared->items()) {
      const auto id = from_hex(node.string());
      if (!id) return fail(ErrorCode::corrupt, "field \"compared\" is wrong");
      identity.compared.push_back(*id);
    }
  }
  // Absent in files of earlier versions, in whose clusters nobody noted who votes.
  if (const auto layout = document->root().member("layout")) {
    auto notes = read_layout(*layout);
    if (!notes) return fail(notes.error(), "layout");
    identity.layout = std::move(*notes);
  }
  if (const auto replaces = document->root().member("replaces")) {
    Fields of_replacement(*replaces);
    identity.replacement = {of_replacement.text("node"), of_replacement.hex("id"),
                            of_replacement.boolean("done")};
    if (auto status = of_replacement.status(); !status) return fail(status.error(), "replaces");
  }
  return identity;
}

Result<std::optional<NodeIdentity>> read_identity(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT) return std::optional<NodeIdentity>();
    return io_error(path, "open");
  }
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(path, "read");
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > identity_bytes_max) break;
  }
  auto identity = text.size() > identity_bytes_max
                      ? Result<NodeIdentity>(fail(ErrorCode::corrupt, "it is too large"))
                      : decode_identity(text);
  if (!identity)
    return fail(ErrorCode::corrupt,
                path + " is damaged: " + identity.error().message +
                    "; restore it, or give an empty --data-dir to start as a new node");
  return std::optional<NodeIdentity>(std::move(*identity));
}

Status write_identity(const std::string& path, const NodeIdentity& identity) {
  constexpr unsigned readable = 0644;
  return replace_file(path, encode_identity(identity), readable);
}

NodeIdentity next_start(const std::optional<NodeIdentity>& stored, NodeId new_id,
                        WallMilliseconds now) {
  NodeIdentity identity = stored.value_or(NodeIdentity{.node_id = new_id});
  const std::uint64_t seconds = std::min<std::uint64_t>(now / 1000, UINT32_MAX - 1);
  identity.epoch = std::max(identity.epoch + 1, static_cast<std::uint32_t>(seconds));
  identity.incarnation = std::max(identity.incarnation + 1, now);
  return identity;
}

}  // namespace dhrt
