// The clients of an event loop, whatever their dialect, for those who list them or cut them off;
// and how a loop asks all loops of the node about theirs.
//
// Intuition: a loop's clients are its own business. Who wants to know of those of all loops writes
// a letter to each, and has its answer when the last one has come back. Nobody waits.
// Threads: a roll belongs to its loop's; ask_all() is called on that of the asking loop, `look`
// runs on each, `done` on the asking one.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "node/session.h"
#include "storage/base/function_ref.h"

namespace dhrt {

class ClientRoll {
 public:
  ClientRoll() = default;
  ClientRoll(const ClientRoll&) = delete;
  ClientRoll& operator=(const ClientRoll&) = delete;
  virtual ~ClientRoll() = default;
  // In the order of their ids. `visit` may end the session that it is shown.
  virtual void visit_clients(FunctionRef<void(Session&)> visit) = 0;
  virtual unsigned loop_number() const = 0;
  virtual Session* find_client(SessionId id) = 0;  // Null: it is not here, or not any more.
};

// The loops of a node, seen from one of them.
struct EveryLoop {
  unsigned own = 0;
  unsigned count = 0;
  // Runs it on a loop; from any thread.
  std::function<void(unsigned loop, std::function<void(ClientRoll&)> letter)> post;

  template <typename Part>
  void ask_all(std::function<Part(ClientRoll&)> look,
               std::function<void(std::vector<Part> by_loop)> done) const {
    struct Asking {
      std::vector<Part> parts;
      unsigned open;
      std::function<void(std::vector<Part>)> done;
    };
    const auto asking =
        std::make_shared<Asking>(Asking{std::vector<Part>(count), count, std::move(done)});
    // Copies: the letter runs elsewhere, when this may be gone.
    for (unsigned loop = 0; loop < count; ++loop) {
      post(loop, [post = post, own = own, loop, look, asking](ClientRoll& roll) {
        post(own, [asking, loop, part = look(roll)](ClientRoll&) mutable {
          asking->parts[loop] = std::move(part);
          if (--asking->open == 0) asking->done(std::move(asking->parts));
        });
      });
    }
  }
};

}  // namespace dhrt
