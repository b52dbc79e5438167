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

Result<WriteLevel> write_level_of(const Arguments& arguments) {
  const auto text = arguments.value_of("ack");
  if (!text) return WriteLevel::one;
  if (const auto level = parse_write_level(*text)) return *level;
  return fail(ErrorCode::invalid_argument, "--ack is one, quorum, all or linear");
}

Result<ReadLevel> read_level_of(const Arguments& arguments) {
  const auto text = arguments.value_of("read");
  if (!text) return ReadLevel::fanout;
  if (const auto level = parse_read_level(*text)) return *level;
  return fail(ErrorCode::invalid_argument, "--read is one, fanout, quorum or linear");
}

}  // namespace dhrt
