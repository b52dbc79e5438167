// The methods of JSON-RPC: what each takes and gives, and who does it.
//
// One table, from which calls are checked and `rpc.discover` is answered (an OpenRPC document).
// Threads: loop thread only.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "node/commands.h"
#include "node/doorkeeper.h"
#include "protocol/json_rpc.h"

namespace dhrt {

struct RpcMethod;

// One call under way.
struct RpcCall {
  CommandServer& server;
  const Grant& grant;  // Of whoever makes the calls.
  const std::string& client;
  const Error* must_wait;  // Why its token was not even looked at; null: it was, or it had none.
  const rpc::Call& call;
  // Once, within the call or later; `position` is what must be durable first. What it was called
  // with is not to be used after it.
  std::function<void(rpc::Outcome, Position position)> done;

  void give(std::string json) const { done({.result = std::move(json)}, 0); }
  void fail(int code, std::string message) const {
    done({.result = {}, .fault = rpc::Fault{code, std::move(message)}}, 0);
  }
  void fail(const Error& error) const;
};

struct RpcParam {
  std::string_view name;
  bool required;
  std::string_view schema;  // JSON.
  std::string_view description;
};

struct RpcMethod {
  std::string_view name;
  std::string_view summary;
  std::span<const RpcParam> params;
  std::string_view result;  // JSON schema.
  void (*run)(const RpcCall& call);
  Role role;
};
std::span<const RpcMethod> rpc_methods();

// Finds the method, checks what it is given, and runs it.
void run_rpc_call(const RpcCall& call);

namespace rpc_calls {
void set(const RpcCall& call);  // rpc_storage.cc
void get(const RpcCall& call);
void has(const RpcCall& call);
void remove(const RpcCall& call);
void flush_all(const RpcCall& call);
void count(const RpcCall& call);
void stats(const RpcCall& call);
}  // namespace rpc_calls

}  // namespace dhrt
