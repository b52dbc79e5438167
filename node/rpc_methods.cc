#include "node/rpc_methods.h"

#include <algorithm>
#include <array>

#include "node/hati_storage.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

constexpr std::string_view text_schema = R"({"type":"string"})";
constexpr std::string_view true_schema = R"({"const":true})";
constexpr RpcParam type_param{"type", true, R"({"enum":["memory","hdd"]})", "Where it is kept."};
constexpr RpcParam key_param{"key", true, R"({"type":"string","minLength":1,"maxLength":511})",
                             "Up to 511 bytes."};
constexpr RpcParam encoding_param{"encoding", false, R"({"enum":["base64"]})",
                                  "The value is base64, so that it may be any bytes."};

constexpr std::array set_params{
    type_param, key_param, RpcParam{"value", true, text_schema, "What to store."},
    RpcParam{"ttl", false, R"({"type":["integer","string"]})",
             "Milliseconds until it is gone; 0, negative or no number: never."},
    encoding_param};
constexpr std::array get_params{type_param, key_param, encoding_param};
constexpr std::array key_params{type_param, key_param};
constexpr std::array type_params{type_param};

void discover(const RpcCall& call);

constexpr std::array methods{
    RpcMethod{"Storage.Set", "Stores a value, whatever was there.", set_params, true_schema,
              rpc_calls::set, Role::write},
    RpcMethod{"Storage.Get",
              "Gives a value. One that is not there is null, and KEY_NOT_EXIST in 1.0.", get_params,
              R"({"type":["string","null"]})", rpc_calls::get, Role::read},
    RpcMethod{"Storage.Has", "Tells whether there is a value.", key_params, R"({"type":"boolean"})",
              rpc_calls::has, Role::read},
    RpcMethod{"Storage.Delete", "Removes a value, if there is one.", key_params, true_schema,
              rpc_calls::remove, Role::write},
    RpcMethod{"Storage.FlushAll", "Removes all values.", type_params, true_schema,
              rpc_calls::flush_all, Role::write},
    RpcMethod{"Storage.Count", "Counts the values.", type_params, R"({"type":"integer"})",
              rpc_calls::count, Role::read},
    RpcMethod{"Storage.Stats",
              "Tells how many values and connections there are.",
              {},
              R"({"type":"object"})",
              rpc_calls::stats,
              Role::read},
    RpcMethod{
        "rpc.discover", "Gives this document.", {}, R"({"type":"object"})", discover, Role::none},
};

struct KnownFault {
  int code;
  std::string_view message;
};
constexpr std::array faults{
    KnownFault{rpc::code::parse_error, "The request is no JSON."},
    KnownFault{rpc::code::bad_request, "It is no call."},
    KnownFault{rpc::code::no_method, "There is no such method."},
    KnownFault{rpc::code::bad_params, "An argument is wrong or above its limit."},
    KnownFault{rpc::code::internal, "The node failed."},
    KnownFault{rpc::code::not_found, "There is no such thing."},
    KnownFault{rpc::code::refused, "This client may not do that."},
    KnownFault{rpc::code::overloaded, "Not now: the node is busy, full or not ready."},
    KnownFault{rpc::code::timed_out, "Not in time; it may still happen."},
};

void write_params(json::Writer& writer, const RpcMethod& method) {
  writer.key("params").begin_array();
  for (const RpcParam& param : method.params) {
    writer.begin_object();
    writer.key("name").string(param.name);
    writer.key("description").string(param.description);
    writer.key("required").boolean(param.required);
    writer.key("schema").raw(param.schema);
    writer.end_object();
  }
  writer.end_array();
}

void write_method(json::Writer& writer, const RpcMethod& method) {
  writer.begin_object();
  writer.key("name").string(method.name);
  writer.key("summary").string(method.summary);
  writer.key("paramStructure").string("by-name");
  write_params(writer, method);
  writer.key("result").begin_object();
  writer.key("name").string("result");
  writer.key("schema").raw(method.result).end_object();
  writer.key("errors").begin_array();
  for (const KnownFault& fault : faults) {
    writer.begin_object().key("code").number(std::int64_t{fault.code});
    writer.key("message").string(fault.message).end_object();
  }
  writer.end_array();
  writer.end_object();
}

void discover(const RpcCall& call) {
  json::Writer writer;
  writer.begin_object();
  writer.key("openrpc").string("1.2.6");
  writer.key("info").begin_object().key("title").string("dhrt");
  writer.key("version").string(DHRT_VERSION).end_object();
  writer.key("methods").begin_array();
  for (const RpcMethod& method : methods)
    write_method(writer, method);
  writer.end_array();
  writer.end_object();
  call.give(writer.take());
}

std::string no_method(Bytes name) {
  const std::size_t dot = name.rfind('.');
  if (dot == Bytes::npos) return "rpc: service/method request ill-formed: " + std::string(name);
  const Bytes service = name.substr(0, dot);
  const bool known = service == "Storage" || service == "rpc";
  return (known ? "rpc: can't find method " : "rpc: can't find service ") + std::string(name);
}

int code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::precondition:
      return rpc::code::bad_params;
    case ErrorCode::not_found:
      return rpc::code::not_found;
    case ErrorCode::denied:
      return rpc::code::refused;
    case ErrorCode::full:
    case ErrorCode::busy:
    case ErrorCode::unavailable:
      return rpc::code::overloaded;
    case ErrorCode::timeout:
      return rpc::code::timed_out;
    case ErrorCode::corrupt:
    case ErrorCode::io:
      return rpc::code::internal;
  }
  return rpc::code::internal;
}

// By the kind of storage, which is a collection; what is no kind the method refuses itself.
bool may(const RpcCall& call, const RpcMethod& method) {
  Doorkeeper::Needs needs{.role = method.role, .looks = method.params.empty()};
  const rpc::Argument* type = call.call.find("type");
  if (!method.params.empty()) needs.collection = type == nullptr ? Bytes() : Bytes(type->value);
  return !call.server.doorkeeper->refusal(call.grant, needs, call.client, method.name);
}

}  // namespace

std::span<const RpcMethod> rpc_methods() {
  return methods;
}

void RpcCall::fail(const Error& error) const {
  fail(code_of(error.code), json::is_utf8(error.message) ? error.message : "the key is not UTF-8");
}

void run_rpc_call(const RpcCall& call) {
  ++call.server.figures.of(ClientDialect::rpc).commands_total;
  const rpc::Call& asked = call.call;
  if (asked.fault) return call.fail(asked.fault->code, asked.fault->message);
  const auto* method = std::ranges::find(methods, asked.method, &RpcMethod::name);
  if (method == methods.end()) return call.fail(rpc::code::no_method, no_method(asked.method));
  if (asked.params_fault && !method->params.empty())
    return call.fail(asked.params_fault->code, asked.params_fault->message);
  const bool allowed = may(call, *method);
  if (!allowed && call.must_wait != nullptr) return call.fail(*call.must_wait);
  if (!allowed)
    return call.fail(rpc::code::refused, call.grant.role == Role::none
                                             ? "no token was shown, or a wrong one"
                                             : "the token is not good enough for that");
  method->run(call);
}

}  // namespace dhrt
