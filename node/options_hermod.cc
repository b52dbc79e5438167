#include "node/options_hermod.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "protocol/json.h"

namespace dhrt {

namespace {

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(ErrorCode::invalid_argument, "Hermod's configuration " + path + ": " + why +
                                               "; name another one with --hermod-config");
}

Result<std::string> token_in(const std::string& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, error)) return refuse(path, "it cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto document = json::Document::parse(text);
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
