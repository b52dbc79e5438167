// The levels that a client may ask for, and how far one is reached (cluster/levels.h).
//
// one: this node alone; fanout (reads): the others, if it does not know; quorum: a majority; all
// (writes): every voter; linear: as if there was one copy.   Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dhrt {

enum class WriteLevel : std::uint8_t { one, quorum, all, linear };
enum class ReadLevel : std::uint8_t { one, fanout, quorum, linear };

std::string_view to_text(WriteLevel level);
std::string_view to_text(ReadLevel level);
// Absent: no such level.
std::optional<WriteLevel> parse_write_level(std::string_view text);
std::optional<ReadLevel> parse_read_level(std::string_view text);

// How far a level is reached.
struct Tally {
  bool reached = false;
  std::uint32_t applied = 0;  // Of those who are needed: so many have it, or have answered.
  std::uint32_t need = 0;
};

}  // namespace dhrt
