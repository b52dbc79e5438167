#include "tests/bench/dialect.h"

namespace dhrt::bench {

namespace {

Template with_key(std::string before, Bytes key, Bytes after) {
  const std::size_t key_at = before.size();
  return {(before += key) += after, key_at, nowhere};
}

Template with_value(Template head, Bytes value, Bytes after) {
  head.value_at = head.bytes.size();
  (head.bytes += value) += after;
  return head;
}

std::string bulk_head(Bytes text) {
  return '$' + std::to_string(text.size()) + "\r\n";
}

Phrases resp_phrases(Bytes key, Bytes value) {
  Phrases phrases;
  phrases.set =
      with_value(with_key("*3\r\n$3\r\nSET\r\n" + bulk_head(key), key, "\r\n" + bulk_head(value)),
                 value, "\r\n");
  phrases.get = with_key("*2\r\n$3\r\nGET\r\n" + bulk_head(key), key, "\r\n");
  phrases.set_reply.bytes = "+OK\r\n";
  phrases.get_reply = with_value({bulk_head(value)}, value, "\r\n");
  return phrases;
}

Phrases text_phrases(Bytes key, Bytes value, Bytes ack) {
  Phrases phrases = resp_phrases(key, value);  // The replies are the same.
  const std::string level = ack.empty() ? "" : " --ack " + std::string(ack);
  phrases.set = with_value(with_key("SET ", key, " "), value, level + "\r\n");
  phrases.get = with_key("GET ", key, "\r\n");
  return phrases;
}

Phrases memcached_phrases(Bytes key, Bytes value) {
  const std::string size = std::to_string(value.size()) + "\r\n";
  Phrases phrases;
  phrases.set = with_value(with_key("set ", key, " 0 0 " + size), value, "\r\n");
  phrases.get = with_key("get ", key, "\r\n");
  phrases.set_reply.bytes = "STORED\r\n";
  phrases.get_reply = with_value(with_key("VALUE ", key, " 0 " + size), value, "\r\nEND\r\n");
  return phrases;
}

Phrases http_phrases(Bytes key, Bytes value) {
  Phrases phrases;
  phrases.set = with_value(with_key("PUT /default/", key,
                                    " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " +
                                        std::to_string(value.size()) + "\r\n\r\n"),
                           value, "");
  phrases.get =
      with_key("GET /default/", key,
               " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/octet-stream\r\n\r\n");
  return phrases;
}

}  // namespace

Phrases phrases_of(Dialect dialect, Bytes key, Bytes value, Bytes ack) {
  switch (dialect) {
    case Dialect::text:
      return text_phrases(key, value, ack);
    case Dialect::resp:
      return resp_phrases(key, value);
    case Dialect::memcached:
      return memcached_phrases(key, value);
    case Dialect::http:
      return http_phrases(key, value);
  }
  return {};
}

ReplyView read_reply_of(Dialect dialect, Bytes input) {
  switch (dialect) {
    case Dialect::text:
    case Dialect::resp:
      return read_reply(input);
    case Dialect::memcached:
      return read_memcached_reply(input);
    case Dialect::http:
      return read_http_reply(input);
  }
  return {};
}

}  // namespace dhrt::bench
