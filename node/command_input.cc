#include "node/command_input.h"

namespace dhrt {

Status check_key(Bytes key) {
  if (key.empty())
    return fail(ErrorCode::invalid_argument,
                "the key is empty; a key has 1 to " + std::to_string(key_bytes_max) + " bytes");
  if (key.size() > key_bytes_max)
    return fail(ErrorCode::invalid_argument,
                "the key has " + std::to_string(key.size()) + " bytes, the limit is " +
                    std::to_string(key_bytes_max) + " and no flag moves it; use a shorter key");
  return {};
}

Status check_value(Bytes value, const ProtocolLimits& limits) {
  if (value.size() <= limits.value_bytes_max) return {};
  return fail(ErrorCode::invalid_argument,
              "the value has " + std::to_string(value.size()) + " bytes, the limit is " +
                  std::to_string(limits.value_bytes_max) + "; --max-value-bytes moves it");
}

Status check_collection(Bytes name) {
  if (valid_collection_name(name) && !system_collection_name(name)) return {};
  return fail(ErrorCode::invalid_argument,
              "that is not a collection name; use 1 to 64 of A-Z a-z 0-9 . _ -, beginning with "
              "a letter or digit");
}

Status check_write_level(const Arguments& arguments) {
  const auto level = arguments.value_of("ack");
  if (!level || *level == "one") return {};
  if (*level == "quorum" || *level == "all" || *level == "linear")
    return fail(ErrorCode::invalid_argument,
                "--ack " + std::string(*level) + " is not given by this version; use --ack one");
  return fail(ErrorCode::invalid_argument, "--ack is one, quorum, all or linear");
}

Result<bool> read_here_only(const Arguments& arguments) {
  const auto level = arguments.value_of("read");
  if (!level || *level == "fanout") return false;
  if (*level == "one") return true;
  if (*level == "quorum" || *level == "linear")
    return fail(ErrorCode::invalid_argument, "--read " + std::string(*level) +
                                                 " is not given by this version; use --read one "
                                                 "or --read fanout");
  return fail(ErrorCode::invalid_argument, "--read is one, fanout, quorum or linear");
}

}  // namespace dhrt
