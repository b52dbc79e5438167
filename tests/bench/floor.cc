// dhrt-floor: answers every line with one constant reply, and does nothing else.
//
// Intuition: what a libuv server costs that neither parses nor stores is the least that dhrt can
// cost, so dhrt's CPU time per operation is told as a ratio to it.
//
// With several threads, each has a loop and a listener of its own on the same port, as the event
// loops of dhrt have: what more it costs per operation then is the system's doing.
//
// Errors: prints which call failed and ends.   Threads: --threads, which share the reply only.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <uv.h>

namespace {

constexpr std::size_t input_bytes = 64 * 1024;
constexpr std::size_t replies_per_write = 1024;
constexpr std::size_t threads_max = 64;

constexpr const char* usage =
    "usage: dhrt-floor [--value-bytes N] [--threads N]\n"
    "\n"
    "Listens on a free port of 127.0.0.1, prints 'listening on 127.0.0.1:PORT', and answers every\n"
    "line: with +OK, or with a bulk string of N bytes. Nothing is parsed or kept. N threads\n"
    "(default 1, at most 64) share the port. Ends by signal.\n";

struct Arguments {
  std::size_t value_bytes = 0;
  std::size_t threads = 1;
};

std::string reply;                                        // One.
std::string replies;                                      // Many of them.
thread_local std::array<char, input_bytes> shared_input;  // One read at a time.

void check_uv(int rc, const char* doing) {
  if (rc >= 0) return;
  std::fprintf(stderr, "dhrt-floor: %s: %s\n", doing, uv_strerror(rc));
  std::exit(1);
}

struct Write {
  uv_write_t request{};
  std::string bytes;
};

void close_connection(uv_stream_t* stream) {
  uv_close(reinterpret_cast<uv_handle_t*>(stream),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
}

// What the socket does not take at once is copied and written later.
void send_bytes(uv_stream_t* stream, const char* bytes, std::size_t size) {
  uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes), static_cast<unsigned>(size));
  const int sent = stream->write_queue_size == 0 ? uv_try_write(stream, &buffer, 1) : UV_EAGAIN;
  const std::size_t done = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (done == size || (sent < 0 && sent != UV_EAGAIN)) return;
  auto write = std::make_unique<Write>();
  write->bytes.assign(bytes + done, size - done);
  buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const auto on_written = [](uv_write_t* request, int) {
    delete reinterpret_cast<Write*>(request);  // The request is its first member.
  };
  if (uv_write(&write->request, stream, &buffer, 1, on_written) == 0) write.release();
}

void on_read(uv_stream_t* stream, ssize_t read, const uv_buf_t* buffer) {
  if (read < 0) return close_connection(stream);
  const char* end = buffer->base + read;
  std::size_t lines = 0;
  for (const char* at = buffer->base; at < end; ++lines) {
    const void* found = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
    if (found == nullptr) break;
    at = static_cast<const char*>(found) + 1;
  }
  while (lines > 0) {
    const std::size_t some = std::min(lines, replies_per_write);
    send_bytes(stream, replies.data(), some * reply.size());
    lines -= some;
  }
}

void on_connection(uv_stream_t* server, int status) {
  check_uv(status, "accept");
  auto* client = new uv_tcp_t;
  check_uv(uv_tcp_init(server->loop, client), "uv_tcp_init");
  auto* stream = reinterpret_cast<uv_stream_t*>(client);
  if (uv_accept(server, stream) != 0) return close_connection(stream);
  uv_tcp_nodelay(client, 1);
  const auto on_input = [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
    *buffer = uv_buf_init(shared_input.data(), input_bytes);
  };
  check_uv(uv_read_start(stream, on_input, on_read), "uv_read_start");
}

bool read_number(std::string_view text, std::size_t& number) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end;
}

bool read_arguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; i += 2) {
    const std::string_view flag = argv[i];
    std::size_t* number = flag == "--value-bytes" ? &arguments.value_bytes
                          : flag == "--threads"   ? &arguments.threads
                                                  : nullptr;
    if (number == nullptr || i + 1 == argc || !read_number(argv[i + 1], *number)) return false;
  }
  return arguments.value_bytes <= input_bytes && arguments.threads >= 1 &&
         arguments.threads <= threads_max;
}

// A loop that listens on the port; 0: any, which is put in its place.
struct Loop {
  uv_loop_t loop{};
  uv_tcp_t server{};

  void listen(std::uint16_t& port) {
    check_uv(uv_loop_init(&loop), "uv_loop_init");
    check_uv(uv_tcp_init_ex(&loop, &server, AF_INET), "uv_tcp_init");
    uv_os_fd_t socket = -1;
    check_uv(uv_fileno(reinterpret_cast<uv_handle_t*>(&server), &socket), "uv_fileno");
    const int yes = 1;
    const int rc = setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    check_uv(rc == 0 ? 0 : uv_translate_sys_error(errno), "SO_REUSEPORT");
    sockaddr_in address{};
    check_uv(uv_ip4_addr("127.0.0.1", port, &address), "uv_ip4_addr");
    check_uv(uv_tcp_bind(&server, reinterpret_cast<const sockaddr*>(&address), 0), "bind");
    check_uv(uv_listen(reinterpret_cast<uv_stream_t*>(&server), 1024, on_connection), "listen");
    int bytes = sizeof address;
    check_uv(uv_tcp_getsockname(&server, reinterpret_cast<sockaddr*>(&address), &bytes),
             "getsockname");
    port = ntohs(address.sin_port);
  }
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments)) {
    const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
    std::fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  const std::size_t value_bytes = arguments.value_bytes;
  reply = value_bytes == 0
              ? "+OK\r\n"
              : '$' + std::to_string(value_bytes) + "\r\n" + std::string(value_bytes, 'x') + "\r\n";
  for (std::size_t i = 0; i < replies_per_write; ++i)
    replies += reply;

  std::uint16_t port = 0;
  std::vector<Loop> loops(arguments.threads);
  for (Loop& loop : loops)
    loop.listen(port);
  std::printf("listening on 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < loops.size(); ++i)
    threads.emplace_back([&loop = loops[i].loop] { uv_run(&loop, UV_RUN_DEFAULT); });
  return uv_run(&loops.front().loop, UV_RUN_DEFAULT);
}
