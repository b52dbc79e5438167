// How far somebody who watches a collection has come, and the token that says so.
//
// A token is opaque to clients, and good on every node of the cluster: it names writes, no places.
// It is for the collection and the prefix that it was made for, and for nothing else.
//
//   token := base64url, without padding, of:
//     version u8 (= 1), generation varint, flushed u64, told_until varint, context, checksum u64
//
// The checksum is of all that stands before it, of the collection's name and of the prefix: it
// finds what was cut or mixed up, and is no secret.
// Bounds: feed_token_bytes_max.   Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/result.h"
#include "storage/context.h"

namespace dhrt {

struct FeedPosition {
  std::uint32_t generation = 0;     // Of the collection; 0: it was not there.
  std::uint64_t flushed = 0;        // Hash of its flushed context.
  WallMilliseconds told_until = 0;  // Deadlines up to then were told.
  Context seen;                     // Dots whose records, or what beats them, were told.

  bool operator==(const FeedPosition&) const = default;
};

// What a token is for.
struct FeedSubject {
  Bytes collection;
  Bytes prefix;
};

// As text. It has to fit into a line and into the head of an HTTP request (64 KiB).
inline constexpr std::size_t feed_token_bytes_max = 49152;

// Empty: it would be longer than it may be. That takes more than two thousand starts of nodes.
std::string encode_feed_token(const FeedPosition& position, const FeedSubject& subject);
// invalid_argument: what is wrong with it, and what to do.
Result<FeedPosition> decode_feed_token(Bytes token, const FeedSubject& subject);

}  // namespace dhrt
