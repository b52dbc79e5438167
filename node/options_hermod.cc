#include "node/options_hermod.h"

#include <filesystem>

#include "node/read_file.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(ErrorCode::invalid_argument, "Hermod's configuration " + path + ": " + why +
                                               "; name another one with --hermod-config");
}

Result<std::string> token_in(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return refuse(path, text.error().message);
  const auto document = json::Document::parse(*text);
  if (!document) return refuse(path, document.error().message);
  const auto token = document->root().member("token");
  if (!token) return std::string();
  auto secret = token->string();
  if (!secret) return refuse(path, "the token is no string");
  return *std::move(secret);
}

}  // namespace

Result<std::string> read_hermod_token(const std::string& named_file, const OptionInput& input) {
  if (auto token = input.environment("DEL_TOKEN"); token && !token->empty())
    return *std::move(token);
  if (!named_file.empty()) return token_in(named_file);
  for (const std::string& folder : {input.program_folder, std::string(".")}) {
    std::error_code error;
    const std::string path = folder + "/config.json";
    if (!folder.empty() && std::filesystem::exists(path, error)) return token_in(path);
  }
  return std::string();
}

}  // namespace dhrt
