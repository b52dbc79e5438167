// What comes out of a reader of peer frames.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "protocol/peer_frame.h"

namespace dhrt::test {

struct ReadFrames {
  std::vector<PeerFrameHead> heads;
  std::vector<std::string> payloads;  // Then "error: why no more do", if there is a reason.
};

// Feeds everything at once and takes what comes out.
inline ReadFrames read_frames(FrameReader& reader, Bytes bytes) {
  reader.feed(bytes);
  ReadFrames out;
  for (;;) {
    const auto next = reader.next();
    if (!next) out.payloads.push_back("error: " + next.error().message);
    if (!next || !*next) return out;
    out.heads.push_back((*next)->head);
    out.payloads.emplace_back((*next)->payload);
  }
}

}  // namespace dhrt::test
