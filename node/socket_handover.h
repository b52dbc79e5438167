// Moves a connection from one event loop to another: its socket is taken out on the loop that has
// it, and gone on with on the other. Nothing may be unsent, and what was read goes along by itself.
//
// Errors: io: no descriptor is left. Threads: each on that of its loop.
#pragma once

#include <memory>

#include "node/file_descriptor.h"
#include "node/stream_connection.h"
#include "storage/base/result.h"

namespace dhrt {

// `connection` is to be dropped then.
Result<FileDescriptor> take_socket(StreamConnection& connection);
Result<std::unique_ptr<StreamConnection>> adopt_socket(EventLoop& loop, FileDescriptor socket);

}  // namespace dhrt
