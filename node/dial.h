// Opens a connection to an address: looks the name up, then tries each of its addresses in turn.
//
// Dropping a Dial gives it up. `done` is called once, never from the constructor, and may drop
// the Dial. Bounds: each address has connect_timeout. Threads: loop thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "node/address.h"
#include "node/stream_connection.h"

namespace dhrt {

class Dial {
 public:
  using Done = std::function<void(Result<std::unique_ptr<StreamConnection>>)>;
  // Which of a name's addresses are called; others are passed over.
  enum class Reach { anywhere, private_addresses };
  struct Options {
    Reach reach = Reach::anywhere;
    // With which of a name's addresses to begin, counted round: who counts up reaches all nodes
    // that share the name, even where the first one always answers.
    std::size_t first = 0;
  };
  Dial(EventLoop& loop, Address address, Options options, Done done);
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;
  ~Dial();

  static constexpr Duration connect_timeout{3000};

 private:
  struct Lookup;
  void looked_up(int status, const addrinfo* found);
  std::ptrdiff_t begin() const;
  void try_next();
  void connected(int status);
  void finish(Result<std::unique_ptr<StreamConnection>> result);

  EventLoop& loop_;
  Address address_;
  Options options_;
  Done done_;
  Lookup* lookup_ = nullptr;  // Freed by its callback, which comes even when we are gone.
  std::vector<sockaddr_storage> candidates_;
  std::size_t next_ = 0;
  std::string reason_;
  Timer timer_;
  std::unique_ptr<StreamConnection> attempt_;
};

}  // namespace dhrt
