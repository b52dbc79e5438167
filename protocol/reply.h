// What a command answers, whatever the dialect: one value tree, written by resp, json or http.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace dhrt {

// Errors begin with a word that programs tell apart: ERR NOAUTH BUSY TIMEOUT ... (text, RESP).
struct ReplyError {
  std::string message;
};
struct SimpleString {
  std::string text;
};
struct Nil {};

struct Reply {
  using Array = std::vector<Reply>;
  std::variant<Nil, SimpleString, ReplyError, std::int64_t, std::string, Array> value;

  static Reply ok() { return {SimpleString{"OK"}}; }
  static Reply nil() { return {Nil{}}; }
  static Reply simple(std::string text) { return {SimpleString{std::move(text)}}; }
  static Reply error(std::string message) { return {ReplyError{std::move(message)}}; }
  static Reply integer(std::int64_t number) { return {number}; }
  static Reply bulk(std::string bytes) { return {std::move(bytes)}; }
  static Reply array(Array items) { return {std::move(items)}; }

  bool is_error() const { return std::holds_alternative<ReplyError>(value); }
  bool is_nil() const { return std::holds_alternative<Nil>(value); }
};

}  // namespace dhrt
