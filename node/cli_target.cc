#include "node/cli_target.h"

#include <utility>

#include "node/access.h"
#include "protocol/duration.h"

namespace dhrt {

namespace {

Result<std::string> read_token(const Arguments& arguments, const Environment& environment) {
  std::string path(arguments.value_of("token-file").value_or(""));
  if (!arguments.has("token-file")) path = environment("DHRT_TOKEN_FILE").value_or("");
  if (path.empty()) return environment("DHRT_TOKEN").value_or("");
  return read_token_file(path);
}

}  // namespace

Result<Target> read_target(const Arguments& arguments, const Environment& environment) {
  std::string place = "--host";
  std::string text(arguments.value_of("host").value_or(""));
  if (!arguments.has("host")) {
    text = environment("DHRT_HOST").value_or("");
    place = "DHRT_HOST";
    if (text.empty()) text = "127.0.0.1:7453";
  }
  const auto host = parse_remote_address(text);
  if (!host) return fail(ErrorCode::invalid_argument, place + ": " + host.error().message);
  const auto timeout = parse_duration(arguments.value_of("timeout").value_or("10s"));
  if (!timeout) return fail(ErrorCode::invalid_argument, "--timeout: " + timeout.error().message);
  if (timeout->count() == 0)
    return fail(ErrorCode::invalid_argument, "--timeout is 0; give the node time, e.g. 10s");
  auto token = read_token(arguments, environment);
  if (!token) return tl::unexpected(token.error());
  std::string ca(arguments.value_of("tls-ca").value_or(""));
  if (!arguments.has("tls-ca")) ca = environment("DHRT_TLS_CA").value_or("");
  // A variable of a script that is not set: plain bytes are not what was wanted.
  if (arguments.has("tls-ca") && ca.empty())
    return fail(ErrorCode::invalid_argument,
                "--tls-ca is empty; name a file, or take --tls for whom the system trusts");
  return Target{*host, *timeout, *std::move(token), arguments.has("tls") || !ca.empty(), ca};
}

Result<Client> connect_to(const Target& target) {
  TlsSession tls;
  if (target.tls) {
    const auto context = TlsContext::trusting(target.tls_ca);
    if (!context) return tl::unexpected(context.error());
    tls = (*context)->connect(target.host.host);
    if (!tls)
      return fail(ErrorCode::invalid_argument,
                  "'" + target.host.host + "' can be in no certificate");
  }
  auto client = Client::connect(target.host, target.timeout, std::move(tls));
  if (!client || target.token.empty()) return client;
  const auto answer = client->call(
      {{.text = "auth", .quoted = false}, {.text = target.token, .quoted = true}}, target.timeout);
  if (!answer) return tl::unexpected(answer.error());
  const auto* error = std::get_if<ReplyError>(&answer->value);
  if (error == nullptr || error->message.find("no token is configured") != std::string::npos)
    return client;
  return fail(ErrorCode::denied, error->message);
}

}  // namespace dhrt
