#include "node/dump_line.h"

#include "protocol/json.h"

namespace dhrt {

std::string dump_line(const DumpEntry& entry) {
  json::Writer writer;
  const bool text = json::is_utf8(entry.key) && json::is_utf8(entry.value);
  writer.begin_object();
  if (!entry.collection.empty()) writer.key("collection").string(entry.collection);
  writer.key("key").string(text ? entry.key : json::base64(entry.key));
  writer.key("value").string(text ? entry.value : json::base64(entry.value));
  if (entry.deadline != 0) writer.key("deadline").number(entry.deadline);
  if (json::is_utf8(entry.type) && !entry.type.empty()) writer.key("type").string(entry.type);
  if (!text) writer.key("encoding").string("base64");
  writer.end_object();
  return writer.take();
}

std::string dump_begin_line() {
  json::Writer writer;
  writer.begin_object().key(dump_begin_key).number(std::int64_t{1}).end_object();
  return writer.take();
}

std::string dump_end_line(std::uint64_t keys, const std::string& checksum) {
  json::Writer writer;
  writer.begin_object().key(dump_end_key).number(std::int64_t{1});
  writer.key("keys").number(keys).key("checksum").string(checksum).end_object();
  return writer.take();
}

}  // namespace dhrt
