// What the program tells the shell when it ends; the same for every command.
#pragma once

namespace dhrt::exit_code {

inline constexpr int done = 0;            // Also: the key is there.
inline constexpr int miss = 1;            // The key is not there.
inline constexpr int usage = 2;           // The command line or the configuration is wrong.
inline constexpr int cannot_connect = 3;  // No node answers there; join: no address answers.
inline constexpr int auth = 4;            // A token is missing, wrong or too weak.
inline constexpr int server_error = 5;    // The node refused; start: the node cannot run here.
inline constexpr int timed_out = 6;
inline constexpr int interrupted = 130;  // 128 + SIGINT, as shells count.

}  // namespace dhrt::exit_code
