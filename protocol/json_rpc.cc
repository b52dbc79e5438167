#include "protocol/json_rpc.h"

#include <algorithm>
#include <utility>

#include "protocol/json.h"
#include "protocol/json_extent.h"
#include "protocol/letter_case.h"

namespace dhrt::rpc {

namespace {

Fault bad_params(const char* message) {
  return {code::bad_params, message};
}

Fault bad_request(std::string message) {
  return {code::bad_request, std::move(message)};
}

Part fault_part(Version version, Fault fault) {
  Part part;
  part.calls.push_back({.version = version, .fault = std::move(fault)});
  return part;
}

// Nobody knows what was meant; what it looks like decides.
Part malformed(Bytes rest, std::string why) {
  const bool two = rest.starts_with('[') || rest.find("\"jsonrpc\"") != Bytes::npos;
  return fault_part(two ? Version::two : Version::one, {code::parse_error, std::move(why)});
}

void take_params(std::optional<json::Document::Value> params, Call& call) {
  if (params && params->is_array()) {
    const auto items = params->items();
    if (items.empty() || items.front().is_null()) return;
    params = items.front();
  }
  if (!params || params->is_null()) {
    if (call.version == Version::one)
      call.params_fault = bad_params("jsonrpc: request body missing params");
    return;
  }
  if (!params->is_object()) {
    call.params_fault = bad_params(
        R"(params is an object, or a list that holds one: [{"type":"memory","key":"k"}])");
    return;
  }
  for (auto& [name, value] : params->members()) {
    auto text = value.string();
    const bool is_text = text.has_value();
    call.arguments.push_back({std::move(name), is_text, is_text ? *std::move(text) : value.text()});
  }
}

// "Storage.Get"
void take_method(const json::Document::Value& root, Call& call) {
  const auto method = root.member("method");
  auto name = method ? method->string() : std::nullopt;
  if (name) {
    call.method = *std::move(name);
  } else if (call.version == Version::two) {
    call.fault = bad_request("a request has a method, which is a string");
  } else {
    call.fault = Fault{code::no_method, "rpc: service/method request ill-formed: "};
  }
}

void take_id(Bytes object, const json::Document::Value& root, Call& call) {
  const auto id = root.member("id");
  if (id && call.version == Version::two && !id->is_null() && !id->string() && !id->number()) {
    call.fault = bad_request("an id is a string, a number or null");
    return;
  }
  if (id) call.id = json::member_text(object, "id").value_or("null");
  call.notifies = !id && call.version == Version::two;
}

// Absent: it is no JSON, and `why` says where.
std::optional<Call> parse_call(Bytes text, bool in_batch, std::string& why) {
  if (json::comma_count(text) > call_values_max)
    return Call{.version = in_batch ? Version::two : Version::one,
                .fault = bad_request("a call has more than " + std::to_string(call_values_max) +
                                     " values; split it")};
  const auto document = json::Document::parse(text);
  if (!document) {
    why = document.error().message;
    return std::nullopt;
  }
  const json::Document::Value root = document->root();
  Call call;
  const auto version = root.member("jsonrpc");
  const bool is_two = version && version->string() == "2.0";
  call.version = is_two || in_batch ? Version::two : Version::one;
  if (!root.is_object()) {
    call.fault = bad_request("a request is an object");
    return call;
  }
  take_id(text, root, call);
  if (in_batch && !is_two) call.fault = bad_request(R"(requests of a list say "jsonrpc":"2.0")");
  if (!call.fault) take_method(root, call);
  if (call.fault)
    call.notifies = false;
  else
    take_params(root.member("params"), call);
  return call;
}

// `text` begins with '['. Absent: it is no JSON.
std::optional<Part> parse_batch(Bytes text, std::string& why) {
  const auto items = json::item_texts(text, body_calls_max);
  if (!items) {
    why = "the list is malformed";
    return std::nullopt;
  }
  if (items->empty()) return fault_part(Version::two, bad_request("the list is empty"));
  Part part{.is_batch = true};
  for (const Bytes item : *items) {
    auto call = parse_call(item, true, why);
    if (!call) return std::nullopt;
    part.calls.push_back(*std::move(call));
  }
  return part;
}

std::optional<Part> parse_part(Bytes text, std::string& why) {
  if (text.starts_with('[')) return parse_batch(text, why);
  auto call = parse_call(text, false, why);
  if (!call) return std::nullopt;
  Part part;
  part.calls.push_back(*std::move(call));
  return part;
}

void append_escape(std::string& out, unsigned code) {
  constexpr Bytes hex = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4)
    out += hex[code >> shift & 15];
}

}  // namespace

const Argument* Call::find(Bytes name) const {
  auto found = std::ranges::find(arguments, name, &Argument::name);
  if (found == arguments.end())
    found = std::ranges::find_if(
        arguments, [&](const Argument& one) { return equal_in_any_case(one.name, name); });
  return found == arguments.end() ? nullptr : &*found;
}

std::vector<Part> parse_body(Bytes body) {
  std::vector<Part> parts;
  std::size_t calls = 0;
  Bytes rest = json::without_blanks(body);
  if (rest.empty())
    parts.push_back(fault_part(Version::one, {code::parse_error, "the request has no body"}));
  while (!rest.empty()) {
    std::string why = "it ends in the middle of a value";
    const auto end = json::value_end(rest);
    auto part = end ? parse_part(rest.substr(0, *end), why) : std::nullopt;
    if (!part) {
      parts.push_back(malformed(rest, why));
      return parts;
    }
    calls += part->calls.size();
    if (calls > body_calls_max) {
      const Version version = part->calls.front().version;
      parts.clear();
      parts.push_back(fault_part(
          version, bad_request("a body has at most " + std::to_string(body_calls_max) +
                               " calls, and none of these was made; send them in several")));
      return parts;
    }
    parts.push_back(*std::move(part));
    rest = json::without_blanks(rest.substr(*end));
  }
  return parts;
}

std::string quoted(Bytes utf8, Version version) {
  if (version == Version::two) return json::quoted(utf8);
  std::string out = "\"";
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const char c = utf8[i];
    const Bytes three = utf8.substr(i, 3);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
    } else if (static_cast<unsigned char>(c) < ' ' || c == '<' || c == '>' || c == '&') {
      append_escape(out, static_cast<unsigned char>(c));
    } else if (three == "\xe2\x80\xa8" || three == "\xe2\x80\xa9") {
      append_escape(out, three.back() == '\xa8' ? 0x2028 : 0x2029);
      i += 2;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void ReplyBody::begin(const Part& part) {
  is_batch_ = part.is_batch;
  answered_ = 0;
}

void ReplyBody::outcome(const Call& call, const Outcome& outcome) {
  if (call.notifies) return;
  if (is_batch_) out_ += answered_ == 0 ? '[' : ',';
  ++answered_;
  const auto& fault = outcome.fault;
  if (call.version == Version::one) {
    out_.append("{\"id\":").append(call.id).append(",\"result\":");
    out_.append(fault ? "null" : outcome.result).append(",\"error\":");
    out_.append(fault ? quoted(fault->message, Version::one) : "null").append("}");
    return;
  }
  out_ += "{\"jsonrpc\":\"2.0\",";
  if (fault)
    out_.append("\"error\":{\"code\":")
        .append(std::to_string(fault->code))
        .append(",\"message\":")
        .append(json::quoted(fault->message))
        .append("}");
  else
    out_.append("\"result\":").append(outcome.result);
  out_.append(",\"id\":").append(call.id).append("}");
}

void ReplyBody::end() {
  if (answered_ == 0) return;
  out_ += is_batch_ ? "]\n" : "\n";
}

}  // namespace dhrt::rpc
