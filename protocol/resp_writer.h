// Replies to Redis clients, in RESP2 or, after HELLO 3, in RESP3.
//
// Where RESP2 has no such thing: a map is an array of keys and values, a set and a push are
// arrays, null is the null bulk string, a boolean 1 or 0, a double and a verbatim text bulk
// strings. An aggregate is its head; what belongs to it is written behind it.
// Line breaks in a simple string or an error become spaces, for they would end it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt::resp {

enum class Version : std::uint8_t { resp2 = 2, resp3 = 3 };

class Writer {
 public:
  // `out` outlives the writer.
  Writer(std::string& out, Version version) : out_(out), version_(version) {}

  void ok() { simple("OK"); }
  void simple(Bytes text);
  void error(Bytes message);
  void integer(std::int64_t number);
  void bulk(Bytes bytes);
  void verbatim(Bytes text);
  void null();
  // What a command that answers an array says if there is none.
  void null_array();
  void boolean(bool value);
  // The shortest form that is read back as the same; inf, -inf, nan.
  void number(double value);

  void array(std::size_t items);
  void map(std::size_t pairs);
  void set(std::size_t items);
  void push(std::size_t items);

 private:
  bool is_resp3() const { return version_ == Version::resp3; }
  void head(char type, std::size_t count);

  std::string& out_;
  Version version_;
};

// A null in one piece.
inline constexpr Bytes null_of(Version version) {
  return version == Version::resp3 ? Bytes("_\r\n") : Bytes("$-1\r\n");
}

}  // namespace dhrt::resp
