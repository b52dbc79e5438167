#include "protocol/json.h"

#include <charconv>
#include <cmath>
#include <system_error>

#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "protocol/json_string.h"

namespace dhrt::json {

namespace {

using Output = rapidjson::Writer<rapidjson::StringBuffer>;

rapidjson::SizeType length_of(Bytes bytes) {
  return static_cast<rapidjson::SizeType>(bytes.size());
}

Bytes bytes_of(const rapidjson::StringBuffer& buffer) {
  return {buffer.GetString(), buffer.GetSize()};
}

// Iterative: no input can exhaust the call stack. Not kParseFullPrecisionFlag: its code for
// doubles counts the leading zero bits of 0 (undefined) for 0e300 and where 2^64 - 1 is rounded
// up. Without it a double may be off in its last digit.
constexpr unsigned parse_flags =
    rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;

// Refuses, before anything is built, what is too deep, what escapes make of lone surrogates, and
// numbers that would be read as infinity. RapidJSON calls these by name.
// NOLINTBEGIN(readability-identifier-naming)
class Inspector : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Inspector> {
 public:
  bool String(const char* text, rapidjson::SizeType length, bool) {
    if (!is_utf8({text, length})) objection_ = "a string holds half of a surrogate pair";
    return objection_.empty();
  }
  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    double value = 0;
    if (std::from_chars(text, text + length, value).ec == std::errc::result_out_of_range)
      objection_ = "a number that a double cannot hold";
    return objection_.empty();
  }
  bool Key(const char* text, rapidjson::SizeType length, bool copy) {
    return String(text, length, copy);
  }
  bool StartObject() { return enter(); }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool StartArray() { return enter(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }

  const std::string& objection() const { return objection_; }

 private:
  bool enter() {
    if (++depth_ > depth_max)
      objection_ = "it is deeper than " + std::to_string(depth_max) + " levels";
    return objection_.empty();
  }
  bool leave() {
    --depth_;
    return true;
  }

  std::size_t depth_ = 0;
  std::string objection_;
};
// NOLINTEND(readability-identifier-naming)

tl::unexpected<Error> no_json(std::size_t offset, const std::string& why) {
  return fail(ErrorCode::invalid_argument,
              "no valid JSON at byte " + std::to_string(offset) + ": " + why);
}

Status inspect(Bytes text) {
  // The reader takes a zero byte for the end, whatever follows.
  if (const std::size_t zero = text.find('\0'); zero != Bytes::npos)
    return no_json(zero, "a zero byte; write \\u0000");
  rapidjson::MemoryStream bytes(text.data(), text.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  rapidjson::Reader reader;
  Inspector inspector;
  const auto result =
      reader.Parse<parse_flags | rapidjson::kParseNumbersAsStringsFlag>(stream, inspector);
  if (!result.IsError()) return {};
  if (result.Code() == rapidjson::kParseErrorTermination)
    return no_json(result.Offset(), inspector.objection());
  return no_json(result.Offset(), rapidjson::GetParseError_En(result.Code()));
}

const rapidjson::Value& value_at(const void* value) {
  return *static_cast<const rapidjson::Value*>(value);
}

std::string string_of(const rapidjson::Value& value) {
  return {value.GetString(), value.GetStringLength()};
}

}  // namespace

struct Writer::State {
  rapidjson::StringBuffer buffer;
  Output output{buffer};
};

Writer::Writer() : state_(std::make_unique<State>()) {}

Writer::~Writer() = default;

Writer& Writer::begin_object() {
  state_->output.StartObject();
  return *this;
}

Writer& Writer::end_object() {
  state_->output.EndObject();
  return *this;
}

Writer& Writer::begin_array() {
  state_->output.StartArray();
  return *this;
}

Writer& Writer::end_array() {
  state_->output.EndArray();
  return *this;
}

Writer& Writer::key(Bytes name) {
  state_->output.Key(name.data(), length_of(name));
  return *this;
}

Writer& Writer::string(Bytes text) {
  // An empty raw value makes RapidJSON write what stands before a value; it would copy the text
  // byte by byte.
  state_->output.RawValue("", 0, rapidjson::kStringType);
  write_quoted(state_->buffer.Push(quoted_bytes(text)), text);
  return *this;
}

Writer& Writer::number(std::int64_t value) {
  state_->output.Int64(value);
  return *this;
}

Writer& Writer::number(std::uint64_t value) {
  state_->output.Uint64(value);
  return *this;
}

Writer& Writer::number(double value) {
  if (!std::isfinite(value)) return null();  // JSON has no word for it.
  state_->output.Double(value);
  return *this;
}

Writer& Writer::boolean(bool value) {
  state_->output.Bool(value);
  return *this;
}

Writer& Writer::null() {
  state_->output.Null();
  return *this;
}

Writer& Writer::raw(Bytes json) {
  state_->output.RawValue(json.data(), json.size(), rapidjson::kObjectType);
  return *this;
}

std::string Writer::take() {
  std::string text(bytes_of(state_->buffer));
  state_->buffer.Clear();
  state_->output.Reset(state_->buffer);
  return text;
}

struct Document::State {
  rapidjson::Document document;
};

Document::Document(std::unique_ptr<State> state) : state_(std::move(state)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::parse(Bytes text) {
  if (auto inspected = inspect(text); !inspected)
    return tl::unexpected(std::move(inspected.error()));
  auto state = std::make_unique<State>();
  state->document.Parse<parse_flags>(text.data(), text.size());
  if (state->document.HasParseError())
    return no_json(state->document.GetErrorOffset(),
                   rapidjson::GetParseError_En(state->document.GetParseError()));
  return Document(std::move(state));
}

Document::Value Document::root() const {
  return Value(static_cast<const rapidjson::Value*>(&state_->document));
}

bool Document::Value::is_null() const {
  return value_at(value_).IsNull();
}

std::optional<std::string> Document::Value::string() const {
  const auto& value = value_at(value_);
  if (!value.IsString()) return {};
  return string_of(value);
}

std::optional<double> Document::Value::number() const {
  const auto& value = value_at(value_);
  if (!value.IsNumber()) return {};
  return value.GetDouble();
}

std::optional<std::int64_t> Document::Value::integer() const {
  const auto& value = value_at(value_);
  if (!value.IsInt64()) return {};
  return value.GetInt64();
}

std::optional<bool> Document::Value::boolean() const {
  const auto& value = value_at(value_);
  if (!value.IsBool()) return {};
  return value.GetBool();
}

bool Document::Value::is_object() const {
  return value_at(value_).IsObject();
}

bool Document::Value::is_array() const {
  return value_at(value_).IsArray();
}

std::optional<Document::Value> Document::Value::member(Bytes name) const {
  const auto& value = value_at(value_);
  if (!value.IsObject()) return {};
  for (auto member = value.MemberBegin(); member != value.MemberEnd(); ++member) {
    if (Bytes(member->name.GetString(), member->name.GetStringLength()) == name)
      return Value(&member->value);
  }
  return {};
}

std::vector<Document::Value> Document::Value::items() const {
  std::vector<Value> items;
  const auto& value = value_at(value_);
  if (!value.IsArray()) return items;
  for (const auto& item : value.GetArray())
    items.push_back(Value(&item));
  return items;
}

std::vector<std::pair<std::string, Document::Value>> Document::Value::members() const {
  std::vector<std::pair<std::string, Value>> members;
  const auto& value = value_at(value_);
  if (!value.IsObject()) return members;
  for (const auto& member : value.GetObject())
    members.emplace_back(string_of(member.name), Value(&member.value));
  return members;
}

std::string Document::Value::text() const {
  rapidjson::StringBuffer buffer;
  Output output(buffer);
  value_at(value_).Accept(output);  // Recursive; depth_max bounds it.
  return std::string(bytes_of(buffer));
}

}  // namespace dhrt::json
