// What clients speak, as figures and the log of requests tell it.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace dhrt {

enum class ClientDialect { text, resp, http, rpc, hati, hermod };

inline constexpr std::array<std::string_view, 6> client_dialects{"text", "resp", "http",
                                                                 "rpc",  "hati", "hermod"};

inline std::string_view to_text(ClientDialect dialect) {
  return client_dialects[static_cast<std::size_t>(dialect)];
}

}  // namespace dhrt
