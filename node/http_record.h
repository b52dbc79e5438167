// Records as HTTP clients see them: JSON about them, the value itself, lists.
//
// Threads: any.
#pragma once

#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"
#include "storage/record.h"

namespace dhrt {

// The attributes of a value that was put with a type; none if there is no type. invalid_argument:
// it is too long to be kept, and a value without it would be another one.
Result<std::string> content_type_attribute(Bytes content_type);
// The value itself is asked for, not JSON about it: it is more welcome, or as welcome and named.
bool wants_raw(Bytes accept);

inline constexpr Bytes json_type = "application/json";
inline constexpr Bytes any_bytes_type = "application/octet-stream";
// As http::append_response() does for a client of HTTP/1.1 that stays, with the version as ETag.
void append_record_response(std::string& out, int status, Bytes content_type, Bytes version,
                            Bytes body);

// A client that just sent a value as a body (PUT) is not sent it back.
enum class ValueShown { yes, no };
// "Key":…,"Value":… and what belongs to it, as an object.
void append_record_json(std::string& out, Bytes key, const RecordView& record, ValueShown value);
// In a list, what stands for a record whose value is damaged.
void append_damaged_json(std::string& out, Bytes key);
// With the version as text, from who needs it for more than this.
void append_record_json(std::string& out, Bytes key, const RecordView& record, Bytes version,
                        ValueShown value);
// {"Key":…}
void append_key_json(std::string& out, Bytes key);

}  // namespace dhrt
