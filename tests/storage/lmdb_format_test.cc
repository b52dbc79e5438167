#include "storage/lmdb_format.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace dhrt::test {
namespace {

TEST_CASE("LMDB format: keys of log and expiry sort as their numbers do, and come back") {
  const std::vector<AliasDot> dots{{0, 1}, {0, 255}, {0, 256}, {1, 0}, {255, 9}, {256, 1}};
  std::vector<std::string> log;
  std::vector<std::string> expiry;
  for (const AliasDot dot : dots) {
    log.push_back(log_key(dot));
    CHECK(parse_log_key(log.back()) == dot);
    expiry.push_back(expiry_key(dot.sequence, dot));
    CHECK(parse_expiry_key(expiry.back()) == dot.sequence);
  }
  CHECK(std::ranges::is_sorted(log));
  CHECK(expiry_key(1, {9, 9}) < expiry_key(2, {0, 0}));
  CHECK(!parse_log_key(Bytes(log[0]).substr(1)));
  CHECK(!parse_log_key("\x01" + log[0].substr(1)));
  CHECK(!parse_expiry_key(log[0]));
}

TEST_CASE("LMDB format: eight dots in a row share an entry, which comes back, and only whole") {
  CHECK(block_of({3, 7}) == AliasDot{3, 0});
  CHECK(block_of({3, 8}) == AliasDot{3, 8});
  CHECK(place_in_block({3, 15}) == 7);
  CHECK(encode_log_block({}).empty());
  const std::string longest(key_bytes_max, 'k');
  for (unsigned mask = 1; mask < 256; ++mask) {
    LogBlock block;
    for (std::size_t i = 0; i < block.size(); ++i)
      if ((mask >> i & 1U) != 0) block[i] = i == 3 ? Bytes(longest) : Bytes("key");
    const std::string encoded = encode_log_block(block);
    CHECK(decode_log_block(encoded) == block);
    for (std::size_t cut = 0; cut < encoded.size(); ++cut)
      CHECK(!decode_log_block(Bytes(encoded).substr(0, cut)));
    CHECK(!decode_log_block(encoded + "x"));
  }
  CHECK_MESSAGE(!decode_log_block(Bytes("\x01\x00", 2)), "no key is empty");
}

TEST_CASE("LMDB format: the cut covers earlier runs, and this one up to its positions") {
  const LogCut cut{.run = 3, .positions = {10, 0}};
  CHECK(cut.covers({2, 7}, 1'000'000));
  CHECK(cut.covers({3, 0}, 10));
  CHECK(!cut.covers({3, 0}, 11));
  CHECK(!cut.covers({3, 1}, 1));
  CHECK_MESSAGE(!cut.covers({3, 2}, 1), "a loop that it does not name has nothing in the file");
  CHECK(!cut.covers({4, 0}, 1));
}

TEST_CASE("LMDB format: entries of meta come back, and no part of one is taken for a whole") {
  const LogCut cut{.run = 3, .positions = {10, 300, 0}};
  FileCounts counts{.highest_hlc = 77, .swept = {}, .live = 300, .tombstones = 2, .bytes = 1 << 20};
  counts.swept.add({1, 2, 3}, Interval{1, 9});

  const std::string encoded_cut = encode_cut(cut);
  const std::string encoded_counts = encode_counts(counts);
  const auto decoded_cut = decode_cut(encoded_cut);
  const auto decoded = decode_counts(encoded_counts);
  REQUIRE(decoded_cut);
  REQUIRE(decoded);
  CHECK(*decoded_cut == cut);
  CHECK(decoded->highest_hlc == 77);
  CHECK(decoded->swept == counts.swept);
  CHECK(decoded->live == 300);
  CHECK(decoded->tombstones == 2);
  CHECK(decoded->bytes == 1 << 20);

  for (std::size_t size = 0; size < encoded_cut.size(); ++size)
    CHECK(!decode_cut(Bytes(encoded_cut).substr(0, size)));
  for (std::size_t size = 0; size < encoded_counts.size(); ++size)
    CHECK(!decode_counts(Bytes(encoded_counts).substr(0, size)));
  const auto longer = decode_cut(encoded_cut + "x");
  REQUIRE(!longer);
  CHECK(longer.error().code == ErrorCode::corrupt);
  CHECK(longer.error().message.find("'cut'") != std::string::npos);
}

TEST_CASE("LMDB format: another format than ours is refused with what to do") {
  const auto refusal = [](Bytes entry) { return check_format(entry, "users.mdb").error().message; };
  CHECK(check_format(encode_format(), "users.mdb"));
  CHECK(refusal(Bytes("\x01\0\0\0", 4)).find("export it") != std::string::npos);
  CHECK(refusal(Bytes("\x02\0\0\0", 4)).find("export it") != std::string::npos);
  CHECK(refusal(Bytes("\x04\0\0\0", 4)).find("a later one") != std::string::npos);
  CHECK(refusal("").find("users.mdb does not say") != std::string::npos);
}

}  // namespace
}  // namespace dhrt::test
