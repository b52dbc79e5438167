#include "node/count_keys.h"

#include <memory>
#include <utility>

namespace dhrt {

namespace {

// One piece of work of the loop; about a millisecond.
constexpr std::size_t counted_at_once = 1024;

struct Counting {
  std::string collection;
  std::function<void(std::uint64_t)> done;
  CountCursor at{};
};

void go_on(CommandServer& server, const std::shared_ptr<Counting>& counting) {
  Collection* collection = server.database.find(counting->collection);
  if (collection == nullptr) return counting->done(0);
  if (!collection->settle_counts(counting->at, counted_at_once))
    return counting->done(collection->counts().live);
  server.post([&server, counting] { go_on(server, counting); });
}

}  // namespace

void count_keys(CommandServer& server, std::string collection,
                std::function<void(std::uint64_t)> done) {
  go_on(server, std::make_shared<Counting>(Counting{std::move(collection), std::move(done)}));
}

}  // namespace dhrt
