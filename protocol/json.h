// JSON by RapidJSON, behind an interface that knows no library: a writer for what nodes say,
// a small reader for import lines and for our own command line.
//
// Strings that are not UTF-8 cannot be JSON: write() of such bytes is the caller's to avoid
// (is_utf8, base64). Reader: iterative, depth bounded, total;
// integers are exact, other numbers may be off in their last digit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt::json {

class Writer {
 public:
  Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(Bytes name);
  Writer& string(Bytes text);  // Must be UTF-8.
  Writer& number(std::int64_t value);
  Writer& number(std::uint64_t value);
  Writer& number(double value);
  Writer& boolean(bool value);
  Writer& null();
  // Inserts JSON made elsewhere.
  Writer& raw(Bytes json);
  // The text so far; the writer is empty afterwards.
  std::string take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A string in quotes, escaped.
std::string quoted(Bytes utf8);
void append_quoted(std::string& out, Bytes utf8);

inline constexpr std::size_t depth_max = 64;

// A parsed document. Values are found by path; absent if the path or the type does not fit.
class Document {
 public:
  static Result<Document> parse(Bytes text);
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  // A view on a value inside; valid while the document lives.
  class Value {
   public:
    bool is_null() const;
    std::optional<std::string> string() const;
    std::optional<double> number() const;
    std::optional<std::int64_t> integer() const;
    std::optional<bool> boolean() const;
    bool is_object() const;
    bool is_array() const;
    std::optional<Value> member(Bytes name) const;
    std::vector<Value> items() const;
    std::vector<std::pair<std::string, Value>> members() const;
    // The value as JSON text again.
    std::string text() const;

   private:
    friend class Document;
    explicit Value(const void* value) : value_(value) {}
    const void* value_;
  };
  Value root() const;

 private:
  struct State;
  explicit Document(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

bool is_utf8(Bytes bytes);
std::string base64(Bytes bytes);
std::optional<std::string> from_base64(Bytes text);

}  // namespace dhrt::json
