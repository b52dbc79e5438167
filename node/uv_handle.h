// A libuv handle that owns itself to the end: libuv reads the memory until its close callback,
// so dropping the handle starts the close and only the callback frees it.
//
// The loop must turn once more after the last handle is dropped (EventLoop's destructor does).
// Threads: loop thread only.
#pragma once

#include <memory>

#include <uv.h>

namespace dhrt {

template <typename Handle>
struct UvClose {
  void operator()(Handle* handle) const {
    handle->data = nullptr;  // Callbacks that libuv still owes find that nobody is there.
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};

template <typename Handle>
using UvHandle = std::unique_ptr<Handle, UvClose<Handle>>;

// `Handle` initialised by `init` (uv_timer_init and the like), with `owner` as its data.
template <typename Handle, typename Init>
UvHandle<Handle> make_uv_handle(void* owner, Init init) {
  auto raw = std::make_unique<Handle>();
  init(raw.get());
  raw->data = owner;
  return UvHandle<Handle>(raw.release());
}

}  // namespace dhrt
