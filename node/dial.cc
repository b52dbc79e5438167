#include "node/dial.h"

#include <algorithm>
#include <cstring>
#include <netdb.h>
#include <utility>

namespace dhrt {

struct Dial::Lookup {
  uv_getaddrinfo_t request{};
  Dial* owner = nullptr;
};

Dial::Dial(EventLoop& loop, Address address, Options options, Done done)
    : loop_(loop),
      address_(std::move(address)),
      options_(options),
      done_(std::move(done)),
      timer_(loop, [this] {
        if (candidates_.empty()) return finish(fail(ErrorCode::unavailable, reason_));
        reason_ = "no answer in time";
        try_next();
      }) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  auto lookup = std::make_unique<Lookup>();
  lookup->owner = this;
  lookup->request.data = lookup.get();
  const int status = uv_getaddrinfo(
      loop.raw(), &lookup->request,
      [](uv_getaddrinfo_t* request, int result, addrinfo* found) {
        const std::unique_ptr<Lookup> owned(static_cast<Lookup*>(request->data));
        if (owned->owner != nullptr) {
          owned->owner->lookup_ = nullptr;
          owned->owner->looked_up(result, found);
        }
        uv_freeaddrinfo(found);
      },
      address_.host.c_str(), std::to_string(address_.port).c_str(), &hints);
  if (status == 0) {
    lookup_ = lookup.release();
  } else {
    reason_ = uv_strerror(status);
    timer_.once(Duration{0});  // Fails on the next turn, as every other failure does.
  }
}

Dial::~Dial() {
  if (lookup_ == nullptr) return;
  lookup_->owner = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));
}

void Dial::looked_up(int status, const addrinfo* found) {
  if (status != 0) return finish(fail(ErrorCode::unavailable, uv_strerror(status)));
  for (; found != nullptr; found = found->ai_next) {
    sockaddr_storage candidate{};
    std::memcpy(&candidate, found->ai_addr, found->ai_addrlen);
    if (options_.reach == Reach::anywhere || is_private_address(candidate))
      candidates_.push_back(candidate);
  }
  if (!candidates_.empty())
    std::rotate(candidates_.begin(), candidates_.begin() + begin(), candidates_.end());
  else
    reason_ = "no private address; --allow-public lets others be used";
  try_next();
}

std::ptrdiff_t Dial::begin() const {
  return static_cast<std::ptrdiff_t>(options_.first % candidates_.size());
}

void Dial::try_next() {
  attempt_.reset();
  if (next_ == candidates_.size()) return finish(fail(ErrorCode::unavailable, reason_));
  const sockaddr_storage& candidate = candidates_[next_++];
  attempt_ = std::make_unique<StreamConnection>(loop_);
  timer_.once(connect_timeout);
  struct Connect {
    uv_connect_t request{};
    Dial* owner = nullptr;
  };
  auto connect = std::make_unique<Connect>();
  connect->owner = this;
  connect->request.data = connect.get();
  const int status = uv_tcp_connect(
      &connect->request, attempt_->tcp(), reinterpret_cast<const sockaddr*>(&candidate),
      [](uv_connect_t* request, int result) {
        const std::unique_ptr<Connect> owned(static_cast<Connect*>(request->data));
        // A dropped attempt is closed and has no data: then the owner may be gone, too.
        if (request->handle->data != nullptr) owned->owner->connected(result);
      });
  if (status == 0) {
    connect.release();
  } else {
    connected(status);
  }
}

void Dial::connected(int status) {
  if (status == 0) return finish(std::move(attempt_));
  reason_ = uv_strerror(status);
  try_next();
}

void Dial::finish(Result<std::unique_ptr<StreamConnection>> result) {
  timer_.cancel();
  const Done done = std::move(done_);
  done(std::move(result));
}

}  // namespace dhrt
