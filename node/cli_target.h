// Which node the command line asks, how long it waits, and which token it shows.
#pragma once

#include <string>

#include "node/address.h"
#include "node/cli_client.h"
#include "node/console.h"
#include "protocol/arguments.h"

namespace dhrt {

struct Target {
  Address host;
  Duration timeout{};
  std::string token;  // Empty: none is shown.
  bool tls = false;
  std::string tls_ca;  // Whom to trust; empty: whom the system does.
};
// --host, --timeout, --token-file and --tls, or the variables that stand for them. No flag takes a
// token: others see the command line. invalid_argument: with the place.
Result<Target> read_target(const Arguments& arguments, const Environment& environment);

// Connects and shows the token. denied: it is wrong. A node that asks for none takes any.
Result<Client> connect_to(const Target& target);

}  // namespace dhrt
