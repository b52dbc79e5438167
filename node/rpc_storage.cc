// Hati's storage as methods of JSON-RPC.
#include <algorithm>
#include <charconv>
#include <utility>

#include "node/command_input.h"
#include "node/count_keys.h"
#include "node/hati_storage.h"
#include "node/rpc_methods.h"
#include "protocol/hati_text.h"
#include "protocol/json.h"

namespace dhrt::rpc_calls {

namespace {

// An argument that is a string; empty if it was not given.
Result<Bytes> text_of(const RpcCall& call, Bytes name) {
  const rpc::Argument* argument = call.call.find(name);
  if (argument == nullptr) return Bytes();
  if (argument->is_text) return Bytes(argument->value);
  if (argument->value == "null") return Bytes();
  return fail(ErrorCode::invalid_argument, std::string(name) + " is a string");
}

Result<Bytes> storage_of(const RpcCall& call) {
  auto type = text_of(call, "type");
  if (type && !hati::is_storage(*type))
    return fail(ErrorCode::invalid_argument, "STORAGE_TYPE_INVALID");
  return type;
}

struct Target {
  Bytes type;
  Bytes key;
};

Result<Target> target_of(const RpcCall& call) {
  const auto type = storage_of(call);
  if (!type) return tl::unexpected(type.error());
  const auto key = text_of(call, "key");
  if (!key) return tl::unexpected(key.error());
  if (key->empty()) return fail(ErrorCode::invalid_argument, "invalid key");
  if (const Status status = check_key(*key); !status) return fail(status.error(), "invalid key");
  return Target{*type, *key};
}

Result<bool> wants_base64(const RpcCall& call) {
  const auto encoding = text_of(call, "encoding");
  if (!encoding) return tl::unexpected(encoding.error());
  if (!encoding->empty() && *encoding != "base64")
    return fail(ErrorCode::invalid_argument, "encoding is base64, or left out");
  return !encoding->empty();
}

Result<std::string> value_of(const RpcCall& call) {
  const auto base64 = wants_base64(call);
  if (!base64) return tl::unexpected(base64.error());
  const auto text = text_of(call, "value");
  if (!text) return tl::unexpected(text.error());
  auto value = *base64 ? json::from_base64(*text) : std::string(*text);
  if (!value) return fail(ErrorCode::invalid_argument, "the value is not base64");
  if (const Status status = check_value(*value, call.server.limits); !status)
    return tl::unexpected(status.error());
  return *std::move(value);
}

// A number may be written with a fraction or an exponent; a text is read as Hati read it.
std::uint64_t ttl_of(const rpc::Argument& argument) {
  if (argument.is_text) return hati::ttl_of(argument.value);
  double number = 0;
  const char* const end = argument.value.data() + argument.value.size();
  const auto read = std::from_chars(argument.value.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end || number < 1) return 0;
  return hati::ttl_of(std::to_string(static_cast<std::uint64_t>(std::min(number, 1e18))));
}

void give_value(const RpcCall& call, const Result<Database::Found>& found, bool base64) {
  if (!found) return call.fail(found.error());
  const bool is_one = call.call.version == rpc::Version::one;
  if (!found->record) return call.give(is_one ? "\"KEY_NOT_EXIST\"" : "null");
  const std::string& value = found->record->value;
  if (base64) return call.give('"' + json::base64(value) + '"');
  if (!json::is_utf8(value))
    return call.fail(rpc::code::bad_params,
                     R"(the value is not UTF-8; ask for it with "encoding":"base64")");
  call.give(rpc::quoted(value, call.call.version));
}

}  // namespace

void set(const RpcCall& call) {
  const auto target = target_of(call);
  if (!target) return call.fail(target.error());
  const auto value = value_of(call);
  if (!value) return call.fail(value.error());
  const rpc::Argument* ttl = call.call.find("ttl");
  const auto written = call.server.database.set(
      target->type, target->key, *value,
      {.ttl_milliseconds = ttl == nullptr ? 0 : ttl_of(*ttl), .blind = true});
  if (!written) return call.fail(written.error());
  call.done({.result = "true"}, written->position);
}

void get(const RpcCall& call) {
  const auto target = target_of(call);
  if (!target) return call.fail(target.error());
  const auto base64 = wants_base64(call);
  if (!base64) return call.fail(base64.error());
  call.server.database.read(target->type, target->key, Database::ReadFrom::cluster,
                            [call, base64 = *base64](const Result<Database::Found>& found) {
                              give_value(call, found, base64);
                            });
}

void has(const RpcCall& call) {
  const auto target = target_of(call);
  if (!target) return call.fail(target.error());
  call.server.database.read(target->type, target->key, Database::ReadFrom::cluster,
                            [call](const Result<Database::Found>& found) {
                              // Of a damaged value it is known that it is there.
                              if (!found && found.error().code != ErrorCode::corrupt)
                                return call.fail(found.error());
                              call.give(!found || found->record ? "true" : "false");
                            });
}

void remove(const RpcCall& call) {
  const auto target = target_of(call);
  if (!target) return call.fail(target.error());
  call.server.database.remove(target->type, target->key,
                              [call](const Result<Database::Removed>& removed) {
                                if (!removed) return call.fail(removed.error());
                                call.done({.result = "true"}, removed->position);
                              });
}

void flush_all(const RpcCall& call) {
  const auto type = storage_of(call);
  if (!type) return call.fail(type.error());
  const auto flushed = call.server.database.flush(*type);
  // A kind that nothing was put into yet is empty already.
  if (!flushed && flushed.error().code != ErrorCode::not_found) return call.fail(flushed.error());
  call.done({.result = "true"}, flushed ? *flushed : 0);
}

void count(const RpcCall& call) {
  const auto type = storage_of(call);
  if (!type) return call.fail(type.error());
  if (const Status status = call.server.database.member(); !status)
    return call.fail(status.error());
  count_keys(call.server, std::string(*type),
             [call](std::uint64_t live) { call.give(std::to_string(live)); });
}

void stats(const RpcCall& call) {
  call.give(hati::stats(call.server, call.grant));
}

}  // namespace dhrt::rpc_calls
