// Peer messages as payloads of frames. Each message is one list of fields (peer_codec.cc), which
// both directions walk.
//
// A decoder is total: it ignores what stands behind the fields it knows, and reserves nothing
// for a count that the payload cannot hold. Messages with records begin with the origins that
// the records name. Names and addresses are at most member_text_bytes_max.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cluster/message.h"
#include "protocol/peer_frame.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

inline constexpr std::size_t member_text_bytes_max = 512;
inline constexpr std::size_t explanation_bytes_max = 4096;
inline constexpr std::size_t proof_bytes_max = 256;

// The payload of a message. Full: its records come from more origins than a table can name;
// send fewer at a time.
Result<std::string> encode_message(const Message& message);

// Corrupt: the payload is no such message, or the type is unknown.
Result<Message> decode_message(MessageType type, Bytes payload);
// Absent: a type that this version does not know, in a frame that may be skipped.
Result<std::optional<Message>> decode_message(const Frame& frame);

}  // namespace dhrt
