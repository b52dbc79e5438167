// The log as a start after a crash finds it: torn ends are cut, damage is refused.
#include "storage/log_reader.h"

#include "storage/base/hash.h"
#include "storage/log_window.h"
#include "tests/storage/copied_files.h"
#include "tests/storage/log_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

// Where the frames of a segment begin, and where the last one ends.
std::vector<std::size_t> frame_offsets(const std::string& bytes, std::uint64_t segment) {
  std::vector<std::size_t> offsets;
  std::size_t at = log_header_bytes;
  while (const auto found = find_frame_head(bytes, at, log_id, segment, std::nullopt)) {
    offsets.push_back(*found);
    at = *found + decode_frame_head(Bytes(bytes).substr(*found))->frame_bytes();
  }
  offsets.push_back(at);
  return offsets;
}

void flip(std::string& bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
}

std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    paths.push_back(entry.path().string());
  return paths;
}

// The log of a writer that was killed: its directory as it is on the disk.
class Crashed {
 public:
  // `synced`: each frame is, before the next one is written.
  Crashed(int frames, std::size_t value_bytes, bool synced) {
    LogOptions options = log_options(running_.path());
    options.durability = synced ? Durability::sync : Durability::none;
    LogBench bench(options);
    bench.write_many(frames, value_bytes);
    copy_as_they_are(running_.path(), found_.path());
    for (const std::string& copy : files_of(found_.path()))
      // What is only prepared changes while it is copied, and is not looked at here.
      if (read_all(copy).find_first_not_of('\0', log_header_bytes) == std::string::npos)
        std::filesystem::remove(copy);
  }

  const std::string& path() const { return found_.path(); }
  std::string segment(std::uint64_t number) const { return segment_path(path(), number); }

 private:
  TemporaryDirectory running_;
  TemporaryDirectory found_;
};

// A whole frame that a client can make up: everything in it can be guessed but the salt.
std::string forged_frame(std::uint64_t segment, Position position, Position previous,
                         Position synced_upto) {
  FrameBuilder frame({log_node, log_id.run, log_id.loop});
  RecordView record;
  record.version = {1, log_node};
  record.dot = {{log_node, log_id.run, log_id.loop}, 1000};
  frame.add_record(log_users, "forged", record, true);
  return std::string(frame.finish({.log = log_id,
                                   .segment = segment,
                                   .position = position,
                                   .previous = previous,
                                   .synced_upto = synced_upto}));
}

void check_refused(const std::string& directory, const std::string& file, const std::string& byte) {
  const auto logs = find_logs(directory, true);
  REQUIRE(!logs);
  CHECK(logs.error().code == ErrorCode::corrupt);
  CHECK(logs.error().message.find(file + " is damaged at byte " + byte) != std::string::npos);
  CHECK(logs.error().message.find("put the file back") != std::string::npos);
}

}  // namespace

TEST_CASE("log reader: names sort like run, loop and segment, and others are no segments") {
  const SegmentName small{{2, 9}, 99};
  const SegmentName large{{10, 1}, 7};
  CHECK(segment_file_name(small) < segment_file_name(large));
  CHECK(segment_file_name({{2, 9}, 99}) < segment_file_name({{2, 9}, 100}));
  CHECK(segment_file_name(small) == "0000000002-00009-00000000000000000099.log");
  CHECK(parse_segment_file_name(segment_file_name(large)) == large);
  CHECK(is_spare_file_name(spare_file_name(large)));
  CHECK(!is_spare_file_name(segment_file_name(large)));
  for (const char* name :
       {"", "a.log", "2-9-99.log", "0000000002-00009-00000000000000000099.spare",
        "0000000002-00009-00000000000000000099.log2", "00000000-2-00009-00000000000000000099.log",
        "9999999999-00009-00000000000000000099.log", "0000000002-99999-00000000000000000099.log"}) {
    CAPTURE(name);
    CHECK(!parse_segment_file_name(name));
  }
}

TEST_CASE("log reader: an end torn at any byte is cut, by truncation as by garbage") {
  const Crashed crashed(5, 40, true);
  const std::string whole = read_all(crashed.segment(1));
  const auto offsets = frame_offsets(whole, 1);
  REQUIRE(offsets.size() == 6);
  for (std::size_t at = offsets[4]; at < offsets[5]; ++at) {
    CAPTURE(at);
    write_all(crashed.segment(1), whole.substr(0, at));
    LogFound found = must_find_one(crashed.path());
    CHECK(found.last == 4);
    CHECK(found.files.front().end == offsets[4]);
    CHECK(found.bytes_cut == at - offsets[4]);
    CHECK(replay(found) == positions_and_keys(1, 4));

    std::string garbled = whole;
    for (std::size_t i = at; i < offsets[5]; ++i)
      garbled[i] = static_cast<char>(~garbled[i]);
    write_all(crashed.segment(1), garbled);
    found = must_find_one(crashed.path());
    CHECK(found.last == 4);
    if (at >= offsets[4] + 32) CHECK(found.bytes_cut > 0);
    CHECK(replay(found) == positions_and_keys(1, 4));
  }
}

TEST_CASE("log reader: a secured log is what was read, and what was torn is gone for good") {
  const Crashed crashed(12, 600, false);
  const std::string whole = read_all(crashed.segment(1));
  const auto offsets = frame_offsets(whole, 1);
  std::string torn = whole;
  flip(torn, offsets[3] + 60);
  write_all(crashed.segment(1), torn);
  LogFound found = must_find_one(crashed.path());
  CHECK(found.last == 3);
  CHECK(found.files.size() == 3);  // The frames of the others are torn off, too.
  CHECK(found.bytes_cut > 9 * 600);
  REQUIRE(secure_log(crashed.path(), found));
  CHECK(read_all(crashed.segment(1)) == whole.substr(0, offsets[3]));
  CHECK(std::filesystem::file_size(crashed.segment(2)) == 0);
  CHECK(replay(found) == positions_and_keys(1, 3));
  const LogFound again = must_find_one(crashed.path());
  CHECK(again.bytes_cut == 0);
  CHECK(again.last == 3);
  CHECK(replay(again) == positions_and_keys(1, 3));
  REQUIRE(remove_log(crashed.path(), found));
  CHECK(file_names(crashed.path()).empty());
  CHECK(remove_log(crashed.path(), found));  // Not an error if it is done.
}

TEST_CASE("log reader: any bit flipped in what was synced is damage, and the start is refused") {
  const Crashed crashed(4, 20, true);
  const std::string whole = read_all(crashed.segment(1));
  const auto offsets = frame_offsets(whole, 1);
  // The last frame says that the third was synced.
  for (std::size_t frame = 0; frame < 3; ++frame) {
    for (std::size_t at = offsets[frame]; at < offsets[frame + 1]; ++at) {
      CAPTURE(at);
      std::string damaged = whole;
      flip(damaged, at);
      write_all(crashed.segment(1), damaged);
      check_refused(crashed.path(), crashed.segment(1), std::to_string(offsets[frame]));
    }
  }
  for (std::size_t at = 0; at < log_header_bytes; ++at) {
    std::string damaged = whole;
    flip(damaged, at);
    write_all(crashed.segment(1), damaged);
    check_refused(crashed.path(), crashed.segment(1), "0");
  }
}

TEST_CASE(
    "log reader: a segment that is missing, empty or of no header is damage if it was synced") {
  const Crashed crashed(30, 600, true);
  const std::string third = read_all(crashed.segment(3));
  const std::string end_of_second =
      std::to_string(frame_offsets(read_all(crashed.segment(2)), 2).back());
  SUBCASE("missing") {
    std::filesystem::remove(crashed.segment(3));
  }
  SUBCASE("empty") {
    write_all(crashed.segment(3), "");
  }
  SUBCASE("zeros") {
    write_all(crashed.segment(3), std::string(4096, '\0'));
  }
  SUBCASE("without its header") {
    write_all(crashed.segment(3), std::string(64, '\0') + third.substr(64));
  }
  SUBCASE("of another life") {
    write_all(crashed.segment(3), read_all(crashed.segment(1)));
  }
  check_refused(crashed.path(), crashed.segment(2), end_of_second);
}

TEST_CASE("log reader: a segment that is missing is a torn end if nothing behind was synced") {
  const Crashed crashed(30, 600, false);
  std::filesystem::remove(crashed.segment(3));
  const LogFound found = must_find_one(crashed.path());
  CHECK(found.bytes_cut > 0);
  CHECK(found.last > 0);
  CHECK(replay(found) == positions_and_keys(1, found.last));
}

TEST_CASE("log reader: earlier segments may be gone, and it says from where on there is a log") {
  const Crashed crashed(30, 600, true);
  std::filesystem::remove(crashed.segment(1));
  const LogFound found = must_find_one(crashed.path());
  CHECK(found.begins_after > 0);
  CHECK(replay(found) == positions_and_keys(found.begins_after + 1, 30));
}

TEST_CASE("log reader: a log goes on behind a segment that was skipped, and only there") {
  const TemporaryDirectory directory;
  const auto frame_of = [](std::uint64_t segment, Position position, Position previous) {
    return encode_segment_header({.log = log_id, .node = log_node, .segment = segment}) +
           forged_frame(segment, position, previous, previous);
  };
  const std::string skipped =
      encode_segment_header({.log = log_id, .node = log_node, .segment = 1}) +
      std::string(4096 - log_header_bytes, '\0');
  SUBCASE("the first, with a header") {
    write_all(segment_path(directory.path(), 1), skipped);
    write_all(segment_path(directory.path(), 2), frame_of(2, 5, 0));
    write_all(segment_path(directory.path(), 3), frame_of(3, 6, 5));
    const LogFound found = must_find_one(directory.path());
    CHECK(found.begins_after == 0);
    CHECK(replay(found) == std::vector<std::string>{"5:forged", "6:forged"});
  }
  SUBCASE("one behind, without a header") {
    write_all(segment_path(directory.path(), 1), frame_of(1, 5, 0));
    write_all(segment_path(directory.path(), 2), std::string(4096, '\0'));
    write_all(segment_path(directory.path(), 3), frame_of(3, 6, 5));
    CHECK(replay(must_find_one(directory.path())) ==
          std::vector<std::string>{"5:forged", "6:forged"});
  }
  SUBCASE("but not if there was a frame in it") {
    write_all(segment_path(directory.path(), 1), skipped);
    write_all(segment_path(directory.path(), 2), frame_of(2, 6, 5));
    const auto found = find_logs(directory.path(), false);
    REQUIRE(!found);
    CHECK(found.error().message.find("position 5 was synced") != std::string::npos);
  }
}

TEST_CASE("log reader: files that are only prepared are passed over, and removed if asked") {
  const Crashed crashed(3, 20, true);
  const std::string first = read_all(crashed.segment(1));
  std::string header = encode_segment_header({.log = log_id, .node = log_node, .segment = 2});
  SUBCASE("zeros") {
    write_all(crashed.segment(2), std::string(4096, '\0'));
  }
  SUBCASE("empty") {
    write_all(crashed.segment(2), "");
  }
  SUBCASE("of an earlier life") {
    write_all(crashed.segment(2), first);
  }
  SUBCASE("a header only") {
    write_all(crashed.segment(2), header + first.substr(64));
  }
  SUBCASE("a torn header") {
    write_all(crashed.segment(2), header.substr(0, 30));
  }
  SUBCASE("a spare") {
    write_all(crashed.path() + "/" + spare_file_name({log_id, 2}), first);
  }
  SUBCASE("of a log that was never written to") {
    write_all(crashed.path() + "/" + segment_file_name({{9, 0}, 1}), std::string(100, '\0'));
  }
  write_all(crashed.path() + "/notes.txt", "not ours");
  CHECK(replay(must_find_one(crashed.path())) == positions_and_keys(1, 3));
  CHECK(file_names(crashed.path()).size() == 3);
  const auto logs = find_logs(crashed.path(), true);
  REQUIRE(logs);
  CHECK(logs->front().bytes_cut == 0);
  CHECK(file_names(crashed.path()) ==
        std::vector<std::string>{segment_file_name({log_id, 1}), "notes.txt"});
}

TEST_CASE("log reader: a log of a newer program is refused, and named with both formats") {
  const Crashed crashed(3, 20, true);
  std::string bytes = read_all(crashed.segment(1));
  bytes[8] = 2;
  const std::uint64_t checksum = hash64(Bytes(bytes).substr(0, 56));
  for (std::size_t i = 0; i < 8; ++i)
    bytes[56 + i] = static_cast<char>(checksum >> (8 * i));
  write_all(crashed.segment(1), bytes);
  const auto logs = find_logs(crashed.path(), true);
  REQUIRE(!logs);
  CHECK(logs.error().code == ErrorCode::precondition);
  CHECK(logs.error().message.find(crashed.segment(1)) != std::string::npos);
  CHECK(logs.error().message.find("of format 2") != std::string::npos);
  CHECK(logs.error().message.find("knows format 1") != std::string::npos);
}

TEST_CASE("log reader: several logs come by run and loop, each for itself") {
  const TemporaryDirectory directory;
  for (const LogId id : {LogId{10, 0}, LogId{2, 1}, LogId{2, 0}}) {
    LogOptions options = log_options(directory.path());
    options.id = id;
    LogBench bench(options);
    bench.write_many(static_cast<int>(id.run), 10);
  }
  const auto logs = must_find(directory.path());
  REQUIRE(logs.size() == 3);
  CHECK(logs[0].id == LogId{2, 0});
  CHECK(logs[1].id == LogId{2, 1});
  CHECK(logs[2].id == LogId{10, 0});
  CHECK(logs[2].last == 10);
}

TEST_CASE("log reader: an error of whoever is shown a frame ends the replay and says where") {
  const Crashed crashed(3, 20, true);
  const LogFound found = must_find_one(crashed.path());
  int shown = 0;
  const Status status = replay_log(found, 0, [&](const FrameHead&, Bytes) -> Status {
    ++shown;
    return fail(ErrorCode::full, "no memory");
  });
  REQUIRE(!status);
  CHECK(shown == 1);
  CHECK(status.error().message.find(crashed.segment(1) + " at byte 64: no memory") !=
        std::string::npos);
}

TEST_CASE("log reader: a file that changes after it was found is noticed") {
  const Crashed crashed(3, 20, true);
  const LogFound found = must_find_one(crashed.path());
  std::string bytes = read_all(crashed.segment(1));
  const auto show = [](const FrameHead&, Bytes) -> Status { return {}; };
  flip(bytes, found.files.front().end - 1);
  write_all(crashed.segment(1), bytes);
  CHECK(!replay_log(found, 0, show));
  write_all(crashed.segment(1), bytes.substr(0, 100));
  CHECK(!replay_log(found, 0, show));
  std::filesystem::remove(crashed.segment(1));
  CHECK(!replay_log(found, 0, show));
}

TEST_CASE("log reader: a directory that is not there is an error, an empty one is not") {
  const TemporaryDirectory directory;
  CHECK(must_find(directory.path()).empty());
  const auto missing = find_logs(directory.file("missing"), false);
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::io);
}

TEST_CASE("log reader: a frame in a value counts for nothing when the frame around it is torn") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  bench.write_many(3, 20);
  REQUIRE(bench.write("k4", forged_frame(1, 1000, 999, 1000)));
  const std::string path = segment_path(directory.path(), 1);
  std::string bytes = read_all(path);
  const auto offsets = frame_offsets(bytes, 1);
  REQUIRE(offsets.size() >= 5);
  flip(bytes, offsets[3] + log_frame_head_bytes);
  write_all(path, bytes);
  const LogFound found = must_find_one(directory.path());
  CHECK(found.last == 3);
  CHECK(found.synced == 2);
  CHECK(replay(found) == positions_and_keys(1, 3));
}

TEST_CASE("log reader: a frame in a value of a segment's earlier life does not go on the log") {
  const TemporaryDirectory directory;
  LogBench bench(log_options(directory.path()));
  bench.write_many(2, 20);
  const std::string path = segment_path(directory.path(), 1);
  std::string bytes = read_all(path);
  const std::size_t end = frame_offsets(bytes, 1).back();
  const std::string forged = forged_frame(1, 3, 2, 2);
  write_all(path, bytes.replace(end, forged.size(), forged));
  CHECK(replay(must_find_one(directory.path())) == positions_and_keys(1, 2));
}

TEST_CASE(
    "log reader: when a first segment is all torn, what is behind it does not begin the log") {
  const Crashed crashed(2, 3500, false);
  const std::string whole = read_all(crashed.segment(1));
  REQUIRE(frame_offsets(whole, 1).size() == 2);
  std::string torn = whole;
  SUBCASE("its only frame") {
    flip(torn, log_header_bytes + 100);
  }
  SUBCASE("everything behind its header") {
    torn.replace(log_header_bytes, std::string::npos, whole.size() - log_header_bytes, '\0');
  }
  write_all(crashed.segment(1), torn);
  const LogFound found = must_find_one(crashed.path());
  CHECK(found.last == 0);
  CHECK(found.bytes_cut > 3500);
  CHECK(replay(found).empty());
  REQUIRE(secure_log(crashed.path(), found));
  for (const LogFound& again : must_find(crashed.path()))
    CHECK(replay(again).empty());
}

TEST_CASE("log reader: frames of any size are read, and found behind damage, wherever they lie") {
  const TemporaryDirectory directory;
  LogOptions options = log_options(directory.path());
  options.segment_bytes = 4 * LogWindow::window_bytes;
  const auto write = [&](std::size_t value_bytes) {
    LogBench bench(options);
    REQUIRE(bench.write("k1", std::string(value_bytes, 'v')));
    REQUIRE(bench.write("k2", "small"));
    REQUIRE(bench.write("k3", std::string(3 * value_bytes / 2, 'v')));
    REQUIRE(bench.write("k4", ""));
    return read_all(segment_path(directory.path(), 1));
  };
  // The second frame begins so that its head is cut by the end of what is read at once.
  const std::size_t frame = LogWindow::window_bytes;
  for (const std::size_t less : {0, 1, 17, 63, 64, 65, 100, 128, 200}) {
    CAPTURE(less);
    std::string bytes = write(frame - less);
    const LogFound found = must_find_one(directory.path());
    CHECK(replay(found) == positions_and_keys(1, 4));
    REQUIRE(secure_log(directory.path(), found));
    CHECK(replay(must_find_one(directory.path())) == positions_and_keys(1, 4));
    flip(bytes, log_header_bytes + log_frame_head_bytes + 100);
    write_all(segment_path(directory.path(), 1), bytes);
    check_refused(directory.path(), segment_path(directory.path(), 1), "64");
    for (const std::string& name : file_names(directory.path()))
      std::filesystem::remove(directory.file(name));
  }
}

TEST_CASE("log window: it shows the file, whatever is asked for and in whatever order") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("file");
  std::string bytes(3 * LogWindow::window_bytes + 1000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 31 + i / 256);
  write_all(path, bytes);
  auto window = LogWindow::open(path);
  REQUIRE(window);
  CHECK(window->size() == bytes.size());
  const std::size_t size = bytes.size();
  const std::size_t width = LogWindow::window_bytes;
  for (const std::size_t at : {std::size_t{0}, width - 1, width, 2 * width + 5, std::size_t{7},
                               size - 1, size, size + 1, std::size_t{3}}) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{64}, width,
                                    width + 1, 2 * width, size, 2 * size}) {
      CAPTURE(at);
      CAPTURE(count);
      const Bytes rest = Bytes(bytes).substr(std::min(at, size));
      const auto shown = window->at(at, count);
      REQUIRE(shown);
      CHECK(shown->size() >= std::min(count, rest.size()));
      CHECK(rest.starts_with(*shown));
    }
  }
  auto cut = LogWindow::open(path);
  REQUIRE(cut);
  write_all(path, bytes.substr(0, 100));
  CHECK(cut->at(width, width)->empty());
  CHECK(*cut->at(50, width) == Bytes(bytes).substr(50, 50));
  CHECK(cut->size() == 100);
}
