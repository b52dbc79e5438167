#include "protocol/json_rpc.h"

#include <doctest/doctest.h>

using namespace dhrt;

namespace {

std::string told(const rpc::Call& call) {
  std::string text = call.version == rpc::Version::one ? "1 " : "2 ";
  text += (call.notifies ? "-" : call.id) + " ";
  if (call.fault) return text + "!" + std::to_string(call.fault->code) + " " + call.fault->message;
  text += call.method + "(";
  for (const rpc::Argument& argument : call.arguments)
    text += argument.name + (argument.is_text ? "=" : ":") + argument.value + ";";
  text += ")";
  if (call.params_fault) text += "!" + call.params_fault->message;
  return text;
}

std::string read(Bytes body) {
  std::string text;
  for (const rpc::Part& part : rpc::parse_body(body)) {
    text += part.is_batch ? "[" : "";
    for (const rpc::Call& call : part.calls)
      text += told(call) + "\n";
    text += part.is_batch ? "]" : "";
  }
  return text;
}

// The reply to a body whose calls all succeed with the name of their method.
std::string answered(Bytes body) {
  rpc::ReplyBody reply;
  for (const rpc::Part& part : rpc::parse_body(body)) {
    reply.begin(part);
    for (const rpc::Call& call : part.calls)
      reply.outcome(call, {.result = rpc::quoted(call.method, call.version), .fault = call.fault});
    reply.end();
  }
  return reply.take();
}

}  // namespace

TEST_CASE("json rpc: calls of 1.0") {
  struct Case {
    const char* why;
    const char* body;
    const char* expected;
  };
  for (const Case& c : {
           Case{"as Hati's clients send them",
                R"({"method":"Storage.Get","params":[{"type":"memory","key":"k"}],"id":1})",
                "1 1 Storage.Get(type=memory;key=k;)\n"},
           Case{"in any order, with blanks",
                " {\"id\" : 7 , \"params\" : [ {} ], \"method\":\"m\"}\n", "1 7 m()\n"},
           Case{"no arguments", R"({"method":"m","params":[],"id":1})", "1 1 m()\n"},
           Case{"null is none", R"({"method":"m","params":[null],"id":1})", "1 1 m()\n"},
           Case{"an object", R"({"method":"m","params":{"a":"b"},"id":1})", "1 1 m(a=b;)\n"},
           Case{"other types", R"({"method":"m","params":[{"a":1.50,"b":true,"c":[1]}],"id":1})",
                "1 1 m(a:1.5;b:true;c:[1];)\n"},
           Case{"only the first item counts", R"({"method":"m","params":[{"a":"b"},5],"id":1})",
                "1 1 m(a=b;)\n"},
           Case{"no params", R"({"method":"m","id":1})",
                "1 1 m()!jsonrpc: request body missing params\n"},
           Case{"params that are null", R"({"method":"m","params":null,"id":1})",
                "1 1 m()!jsonrpc: request body missing params\n"},
           Case{"by position", R"({"method":"m","params":["memory","k"],"id":1})",
                "1 1 m()!params is an object, or a list that holds one: "
                "[{\"type\":\"memory\",\"key\":\"k\"}]\n"},
           Case{"no method", R"({"params":[],"id":1})",
                "1 1 !-32601 rpc: service/method request ill-formed: \n"},
           Case{"no object", "5", "1 null !-32600 a request is an object\n"},
           Case{"no body", "", "1 null !-32700 the request has no body\n"},
           Case{"blanks only", " \n", "1 null !-32700 the request has no body\n"},
           Case{"another version", R"({"jsonrpc":"1.0","method":"m","params":[]})", "1 null m()\n"},
       }) {
    CAPTURE(c.why);
    CHECK(read(c.body) == c.expected);
  }
}

TEST_CASE("json rpc: an id comes back byte for byte") {
  for (const char* id : {"1", "1.50", "-0", "1e3", "\"a\\u0062\"", "null", "{\"a\" : [1,  2]}",
                         "[ ]", "12345678901234567890123", "true", "\"a,}\\\"\""}) {
    CAPTURE(id);
    const std::string body =
        std::string(R"({"method":"m","x":"\"id\":5","params":[],"id":)") + id + "}";
    CHECK(answered(body) == std::string("{\"id\":") + id + ",\"result\":\"m\",\"error\":null}\n");
  }
  CHECK(read(R"({"\u0069d":7,"method":"m","params":[]})") == "1 7 m()\n");
}

TEST_CASE("json rpc: calls of 2.0") {
  struct Case {
    const char* why;
    const char* body;
    const char* expected;
  };
  for (const Case& c : {
           Case{"by name", R"({"jsonrpc":"2.0","method":"m","params":{"a":"b"},"id":"x"})",
                "2 \"x\" m(a=b;)\n"},
           Case{"in a list", R"({"jsonrpc":"2.0","method":"m","params":[{"a":"b"}],"id":1})",
                "2 1 m(a=b;)\n"},
           Case{"without params", R"({"jsonrpc":"2.0","method":"m","id":1})", "2 1 m()\n"},
           Case{"a notification", R"({"jsonrpc":"2.0","method":"m"})", "2 - m()\n"},
           Case{"an id of null is one", R"({"jsonrpc":"2.0","method":"m","id":null})",
                "2 null m()\n"},
           Case{"no id", R"({"jsonrpc":"2.0","method":"m","id":[1]})",
                "2 null !-32600 an id is a string, a number or null\n"},
           Case{"no method", R"({"jsonrpc":"2.0","id":1})",
                "2 1 !-32600 a request has a method, which is a string\n"},
           Case{"a method that is none, and no id", R"({"jsonrpc":"2.0","method":1})",
                "2 null !-32600 a request has a method, which is a string\n"},
           Case{"a batch",
                R"([{"jsonrpc":"2.0","method":"a","id":1}, {"jsonrpc":"2.0","method":"b"}])",
                "[2 1 a()\n2 - b()\n]"},
           Case{"an empty batch", "[]", "2 null !-32600 the list is empty\n"},
           Case{"no calls", "[1,{}]",
                "[2 null !-32600 a request is an object\n"
                "2 null !-32600 requests of a list say \"jsonrpc\":\"2.0\"\n]"},
           Case{"a list that is none", "[1,", "2 null !-32700 it ends in the middle of a value\n"},
           Case{"nor this", "[1 2]", "2 null !-32700 the list is malformed\n"},
           Case{"nor this", "[1,]", "2 null !-32700 the list is malformed\n"},
       }) {
    CAPTURE(c.why);
    CHECK(read(c.body) == c.expected);
  }
}

TEST_CASE("json rpc: several requests of a body, up to what is no JSON") {
  CHECK(read(R"({"method":"a","params":[]}{"jsonrpc":"2.0","method":"b","id":2} )"
             R"([{"jsonrpc":"2.0","method":"c","id":3}])") == "1 null a()\n2 2 b()\n[2 3 c()\n]");
  CHECK(answered(R"({"method":"a","params":[],"id":1} {"method":)")
            .starts_with("{\"id\":1,\"result\":\"a\",\"error\":null}\n"
                         "{\"id\":null,\"result\":null,\"error\":\"it ends in the middle"));
  CHECK(answered(R"({"jsonrpc":"2.0","method")")
            .starts_with(R"({"jsonrpc":"2.0","error":{"code":-32700,"message":)"));
  CHECK(answered("}").find("\"error\":\"no valid JSON") != std::string::npos);
  // A batch is good or bad as a whole.
  CHECK(read(R"([{"jsonrpc":"2.0","method":"a","id":1},{"jsonrpc":"2.0","method"]})")
            .starts_with("2 null !-32700"));
}

TEST_CASE("json rpc: replies of both versions") {
  CHECK(answered(R"({"jsonrpc":"2.0","method":"m","id":"x"})") ==
        "{\"jsonrpc\":\"2.0\",\"result\":\"m\",\"id\":\"x\"}\n");
  CHECK(answered(R"({"jsonrpc":"2.0","method":"m"})").empty());
  CHECK(answered(R"([{"jsonrpc":"2.0","method":"m"}])").empty());
  CHECK(answered(R"([{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","method":"m","id":1},5])") ==
        "[{\"jsonrpc\":\"2.0\",\"result\":\"m\",\"id\":1},{\"jsonrpc\":\"2.0\",\"error\":"
        "{\"code\":-32600,\"message\":\"a request is an object\"},\"id\":null}]\n");
}

TEST_CASE("json rpc: 1.0 escapes what Hati escaped") {
  const std::string text = "<a&b>\"\\\n\r\t\x01\x1f\x7f\xe2\x80\xa8\xe2\x80\xa9\xe2\x82\xac";
  CHECK(rpc::quoted(text, rpc::Version::one) ==
        "\"\\u003ca\\u0026b\\u003e\\\"\\\\\\n\\r\\t\\u0001\\u001f\x7f\\u2028\\u2029\xe2\x82\xac\"");
  CHECK(rpc::quoted("<a&b>\n", rpc::Version::two) == "\"<a&b>\\n\"");
  CHECK(rpc::quoted("\xe2\x80", rpc::Version::one) == "\"\xe2\x80\"");
}

TEST_CASE("json rpc: arguments are found in any case, the exact one first") {
  const auto parts =
      rpc::parse_body(R"({"method":"m","params":[{"KEY":"a","Key":"b","key":"c"}]})");
  const rpc::Call& call = parts.front().calls.front();
  CHECK(call.find("key")->value == "c");
  CHECK(call.find("Key")->value == "b");
  CHECK(call.find("kEY")->value == "a");
  CHECK(call.find("keys") == nullptr);
}

TEST_CASE("json rpc: limits") {
  std::string values = R"({"method":"m","id":1,"params":[{"a":[1)";
  for (std::size_t i = 0; i < rpc::call_values_max; ++i)
    values += ",1";
  CHECK(read(values + "]}]}") == "1 null !-32600 a call has more than 32 values; split it\n");
  const std::string call = R"({"jsonrpc":"2.0","method":"m"})";
  std::string most;
  for (std::size_t i = 0; i < rpc::body_calls_max; ++i)
    most += (i > 0 ? "," : "") + call;
  CHECK(rpc::parse_body("[" + most + "]").front().calls.size() == rpc::body_calls_max);
  const std::string refused =
      "2 null !-32600 a body has at most 16384 calls, and none of these was made; send them in "
      "several\n";
  CHECK(read("[" + most + "," + call + "]") == refused);
  CHECK(read("[" + most + "]" + call) == refused);
  // Depth is JSON's own limit.
  CHECK(read(std::string(100'000, '[')).starts_with("2 null !-32700"));
}
