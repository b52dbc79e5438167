#include "node/nkvd_names.h"

#include <algorithm>
#include <charconv>

#include "protocol/json.h"
#include "protocol/utf8.h"

namespace dhrt::nkvd {

namespace {

constexpr std::size_t host_bytes_max = 253;  // Of a name in DNS.

bool is_host(Bytes host) {
  return !host.empty() && host.size() <= host_bytes_max && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

template <typename Number>
std::optional<Number> parse_number(Bytes text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<Address> parse_node(Bytes text) {
  const std::size_t colon = text.find(':');
  if (colon == Bytes::npos || !is_host(text.substr(0, colon))) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  return Address{std::string(text.substr(0, colon)), *port};
}

void add(std::vector<Address>& nodes, std::optional<Address> node) {
  if (!node || nodes.size() == nodes_max || std::ranges::count(nodes, *node) > 0) return;
  nodes.push_back(*std::move(node));
}

std::vector<Address> names_in(const json::Document::Value& object, Bytes name) {
  std::vector<Address> nodes;
  const auto list = object.member(name);
  if (!list) return nodes;
  for (const auto& item : list->items())
    add(nodes, parse_node(item.string().value_or("")));
  return nodes;
}

void write(json::Writer& writer, Bytes name, const std::vector<Address>& nodes) {
  writer.key(name).begin_array();
  for (const Address& node : nodes)
    writer.string(to_text(node));
  writer.end_array();
}

}  // namespace

std::vector<Address> parse_nodes(Bytes text) {
  std::vector<Address> nodes;
  for (std::size_t begin = 0; begin <= text.size() && nodes.size() < nodes_max;) {
    const std::size_t end = std::min(text.find('|', begin), text.size());
    add(nodes, parse_node(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return nodes;
}

std::string nodes_text(const std::vector<Address>& nodes) {
  std::string text;
  for (const Address& node : nodes)
    text += (text.empty() ? "" : "|") + to_text(node);
  return text;
}

std::optional<std::vector<Address>> parse_ping_answer(Bytes body) {
  const auto document = json::Document::parse(body);
  if (!document) return std::nullopt;
  const auto list = document->root().member("nodes");
  if (!list || !list->is_array()) return std::nullopt;
  std::vector<Address> nodes;
  for (const auto& item : list->items()) {
    const auto host = item.member("host");
    const auto port = item.member("port");
    const auto is_down = item.member("isDown");
    if (!host || !port || (is_down && is_down->boolean().value_or(true))) continue;
    add(nodes, parse_node(host->string().value_or("") + ":" +
                          std::to_string(port->integer().value_or(0))));
  }
  return nodes;
}

Result<Address> parse_mesh_url(Bytes text) {
  constexpr Bytes scheme = "http://";
  constexpr std::uint16_t http_port = 80;
  Bytes rest = text;
  const bool has_scheme = rest.starts_with(scheme);
  if (has_scheme) rest.remove_prefix(scheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const bool has_port = rest.find(':') != Bytes::npos;
  auto node = parse_node(has_port ? std::string(rest)
                                  : std::string(rest) + ":" + std::to_string(http_port));
  if (node) return *std::move(node);
  return fail(
      ErrorCode::invalid_argument,
      "'" + std::string(text) + "' is no address of a node of nkvd; write http://HOST:PORT");
}

bool takes_key(Bytes key) {
  return !key.empty() && json::is_utf8(key) && utf16_length(key) < key_length_max;
}

bool takes_value(Bytes value) {
  // The most bytes that a UTF-16 unit can take; so that large values are not looked through.
  constexpr std::size_t bytes_per_unit_max = 3;
  return value.size() <= value_length_max * bytes_per_unit_max && json::is_utf8(value) &&
         utf16_length(value) < value_length_max;
}

std::string to_text(const Gossip& gossip) {
  json::Writer writer;
  writer.begin_object();
  writer.key("id").string(std::to_string(gossip.id));
  writer.key("address").string(gossip.address);
  write(writer, "nodes", gossip.nodes);
  write(writer, "copied", gossip.copied);
  writer.key("clear").boolean(gossip.clear);
  writer.end_object();
  return writer.take();
}

std::optional<Gossip> parse_gossip(Bytes text) {
  if (text.size() > gossip_bytes_max) return std::nullopt;
  const auto document = json::Document::parse(text);
  if (!document || !document->root().is_object()) return std::nullopt;
  const auto root = document->root();
  const auto text_of = [&](Bytes name) {
    const auto member = root.member(name);
    return member ? member->string().value_or("") : std::string();
  };
  Gossip gossip;
  gossip.id = parse_number<NodeId>(text_of("id")).value_or(0);
  gossip.address = text_of("address");
  if (!parse_node(gossip.address)) gossip.address.clear();
  gossip.nodes = names_in(root, "nodes");
  gossip.copied = names_in(root, "copied");
  const auto clear = root.member("clear");
  gossip.clear = clear && clear->boolean().value_or(false);
  if (gossip.id == 0 && !gossip.clear) return std::nullopt;
  return gossip;
}

}  // namespace dhrt::nkvd
