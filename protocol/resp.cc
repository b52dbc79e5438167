#include "protocol/resp.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "protocol/resp_writer.h"

namespace dhrt::resp {

namespace {

// Type, sign, 19 digits, line end.
using NumberLine = std::array<char, 23>;

// Backwards, from the end of the line; gives its first byte.
char* write_length(NumberLine& line, char type, std::size_t length) {
  char* at = line.data() + line.size();
  *--at = '\n';
  *--at = '\r';
  do {
    *--at = static_cast<char>('0' + length % 10);
    length /= 10;
  } while (length > 0);
  *--at = type;
  return at;
}

struct ReplyWriter {
  std::string& out;

  void operator()(const Nil&) const { out += null_of(Version::resp2); }
  void operator()(const SimpleString& simple) const { append_text_line(out, '+', simple.text); }
  void operator()(const ReplyError& error) const { append_text_line(out, '-', error.message); }
  void operator()(std::int64_t number) const { append_number_line(out, ':', number); }
  void operator()(const std::string& bulk) const { append_bulk(out, bulk); }
  // Replies are made by our own commands, a few levels deep.
  void operator()(const Reply::Array& items) const {
    append_number_line(out, '*', static_cast<std::int64_t>(items.size()));
    for (const Reply& item : items)
      std::visit(*this, item.value);
  }
};

tl::unexpected<Error> no_reply(const std::string& what) {
  return fail(ErrorCode::corrupt, "reply is not RESP2: " + what);
}

enum class Step { need_more, value, array };

// An array whose items are still being read.
struct Open {
  Reply::Array items;
  std::uint64_t missing = 0;
};

// Reads replies from the front of `rest_`, one value or array head at a time.
class Reader {
 public:
  explicit Reader(Bytes input) : rest_(input) {}

  Result<std::optional<Reply>> read() {
    for (;;) {
      const auto step = next();
      if (!step) return tl::unexpected(step.error());
      if (*step == Step::need_more) return std::optional<Reply>();
      if (*step == Step::array) continue;
      if (auto done = close_arrays()) return done;
    }
  }
  std::size_t left() const { return rest_.size(); }

 private:
  // The line at the front without its end; absent: it is not all there.
  std::optional<Bytes> take_line() {
    const std::size_t end = rest_.find("\r\n");
    if (end == Bytes::npos) return {};
    const Bytes line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return line;
  }

  Result<Step> next() {
    if (rest_.empty()) return Step::need_more;
    if (Bytes("+-:$*").find(rest_.front()) == Bytes::npos)
      return no_reply("it begins with byte " +
                      std::to_string(static_cast<unsigned char>(rest_.front())));
    const auto line = take_line();
    if (!line) return Step::need_more;
    const Bytes body = line->substr(1);
    if (line->front() == '+') return give(Reply::simple(std::string(body)));
    if (line->front() == '-') return give(Reply::error(std::string(body)));
    std::int64_t number = 0;
    const auto parsed = std::from_chars(body.data(), body.data() + body.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != body.data() + body.size())
      return no_reply("'" + std::string(body.substr(0, 32)) + "' is no number");
    if (line->front() == ':') return give(Reply::integer(number));
    if (number == -1) return give(Reply::nil());
    if (number < 0) return no_reply("length " + std::to_string(number) + " is negative");
    return line->front() == '$' ? bulk(static_cast<std::uint64_t>(number))
                                : array(static_cast<std::uint64_t>(number));
  }

  Result<Step> bulk(std::uint64_t length) {
    if (rest_.size() < length || rest_.size() - length < 2) return Step::need_more;
    if (rest_.substr(length, 2) != "\r\n") return no_reply("a bulk string has no line end");
    auto step = give(Reply::bulk(std::string(rest_.substr(0, length))));
    rest_.remove_prefix(length + 2);
    return step;
  }

  // Reserves nothing: the count is only a claim.
  Result<Step> array(std::uint64_t count) {
    if (count == 0) return give(Reply::array({}));
    if (open_.size() == reply_depth_max)
      return no_reply("arrays are more than " + std::to_string(reply_depth_max) + " deep");
    open_.push_back({.items = {}, .missing = count});
    return Step::array;
  }

  Step give(Reply reply) {
    value_ = std::move(reply);
    return Step::value;
  }

  // Puts the value where it belongs; gives the whole reply when nothing is missing any more.
  std::optional<Reply> close_arrays() {
    while (!open_.empty()) {
      Open& innermost = open_.back();
      innermost.items.push_back(std::move(value_));
      if (--innermost.missing > 0) return {};
      value_ = Reply::array(std::move(innermost.items));
      open_.pop_back();
    }
    return std::move(value_);
  }

  Bytes rest_;
  Reply value_;
  std::vector<Open> open_;
};

}  // namespace

void append_number_line(std::string& out, char type, std::int64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  out += type;
  out.append(digits, static_cast<std::size_t>(end - digits));
  out += "\r\n";
}

void append_text_line(std::string& out, char type, Bytes text) {
  out += type;
  const std::size_t start = out.size();
  out += text;
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
  out += "\r\n";
}

// The one reply that is given by the million: written in one piece.
void append_bulk(std::string& out, Bytes bytes) {
  NumberLine head;
  char* const begin = write_length(head, '$', bytes.size());
  const auto head_bytes = static_cast<std::size_t>(head.data() + head.size() - begin);
  const std::size_t at = out.size();
  out.resize(at + head_bytes + bytes.size() + 2);
  char* to = out.data() + at;
  std::memcpy(to, begin, head_bytes);
  std::copy_n(bytes.data(), bytes.size(), to + head_bytes);  // Which may be nothing at nowhere.
  std::memcpy(to + head_bytes + bytes.size(), "\r\n", 2);
}

void append_reply(std::string& out, const Reply& reply) {
  std::visit(ReplyWriter{out}, reply.value);
}

Result<std::optional<ParsedReply>> parse_reply(Bytes input) {
  Reader reader(input);
  auto reply = reader.read();
  if (!reply) return tl::unexpected(std::move(reply.error()));
  if (!*reply) return std::optional<ParsedReply>();
  return ParsedReply{.reply = std::move(**reply), .consumed = input.size() - reader.left()};
}

}  // namespace dhrt::resp
