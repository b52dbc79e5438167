#include "storage/record_batch.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

// Of every kind, and of every length of a length.
std::vector<KeyedRecord> samples() {
  std::vector<KeyedRecord> records;
  std::uint64_t sequence = 0;
  for (const std::size_t bytes : {0, 1, 60, 100, 127, 128, 300, 16383, 16384, 100'000})
    records.push_back(
        put("k" + std::to_string(bytes), std::string(bytes, 'v'), {here, ++sequence}));
  records.push_back(tombstone("", {there, 3}));
  KeyedRecord full = put(std::string(key_bytes_max, 'k'), "v", {there, 2});
  full.record.previous = Dot{{.node = 9, .epoch = 9, .loop = 9}, 9};
  full.record.deadline = noon;
  full.record.attributes = with_attribute("", attribute_content_type, "text/plain");
  records.push_back(full);
  return records;
}

Result<RecordBatch> read_back(const RecordBatch& batch, Bytes bytes) {
  ByteReader reader(bytes);
  auto read = RecordBatch::read(reader, batch.count(), batch.origins());
  if (read && !reader.ok()) return fail(ErrorCode::corrupt, "it is cut");
  if (read) CHECK(reader.rest() == "behind");
  return read;
}

TEST_CASE("record batch: what was added is in it, in order, and comes back from its bytes") {
  const SharedBatch batch = batch_with(samples());
  CHECK(batch->count() == samples().size());
  CHECK(batch->records() == samples());
  const RecordBatch read = must(read_back(*batch, std::string(batch->bytes()) + "behind"));
  CHECK(read == *batch);
  CHECK(read.records() == samples());
  CHECK(RecordBatch().records().empty());
}

TEST_CASE("record batch: a cursor shows each record where it lies") {
  const SharedBatch batch = batch_with(samples());
  RecordBatch::Cursor cursor(*batch);
  for (const KeyedRecord& expected : samples()) {
    KeyedView shown;
    REQUIRE(cursor.next(shown));
    CHECK(shown.key == expected.key);
    Record copy = copy_of(shown.record);
    copy.previous = expected.record.previous;  // Who stores it does not need that.
    CHECK(copy == expected.record);
    const char* const begin = batch->bytes().data();
    CHECK((shown.key.data() >= begin && shown.key.data() <= begin + batch->bytes().size()));
  }
  KeyedView none;
  CHECK_FALSE(cursor.next(none));
}

TEST_CASE("record batch: knows the last number of each origin that wrote into it") {
  RecordBatch batch;
  must(batch.add(put("a", "1", {here, 5})));
  KeyedRecord other = put("b", "1", {there, 2});
  other.record.previous = Dot{{.node = 9, .epoch = 9, .loop = 9}, 9};
  must(batch.add(other));
  must(batch.add(put("a", "2", {here, 4})));
  CHECK(batch.tips().at(*batch.origins().find(here)) == 5);
  CHECK(batch.tips().at(*batch.origins().find(there)) == 2);
  const std::size_t replaced = *batch.origins().find({.node = 9, .epoch = 9, .loop = 9});
  CHECK_MESSAGE((replaced >= batch.tips().size() || batch.tips()[replaced] == 0),
                "what was replaced is no write of the batch");
}

TEST_CASE("record batch: every truncation is an error, and so is a record that does not decode") {
  const RecordBatch batch = *batch_with({put("a", "value", {here, 1}), tombstone("b", {there, 2})});
  const std::string bytes(batch.bytes());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(read_back(batch, bytes.substr(0, length)));
  }
  std::string format = bytes + "behind";
  format[3] = '\x7f';  // Behind the key with its length, and the record's length.
  const auto read = read_back(batch, format);
  REQUIRE_FALSE(read);
  CHECK(read.error().message == "record does not decode: format 127 is unknown");
}

TEST_CASE("record batch: a damaged value is known by its dot") {
  const RecordBatch batch = *batch_with({put("a", "value", {here, 1})});
  std::string bytes = std::string(batch.bytes()) + "behind";
  bytes[bytes.find("value")] = 'V';
  const KeyedRecord damaged = must(read_back(batch, bytes)).records().at(0);
  CHECK(damaged.record.damaged);
  CHECK(damaged.record.dot == Dot{here, 1});
}

TEST_CASE("record batch: a record whose origin has no room in the table is left out whole") {
  RecordBatch batch;
  for (std::uint32_t epoch = 1; epoch <= OriginTable::origins_max; ++epoch)
    must(batch.add(tombstone("k", {{.node = 1, .epoch = epoch, .loop = 0}, 1})));
  const std::string before(batch.bytes());
  const Status refused = batch.add(tombstone("k", {{.node = 2, .epoch = 1, .loop = 0}, 1}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::full);
  CHECK(batch.bytes() == before);
  CHECK(batch.count() == OriginTable::origins_max);
}

}  // namespace
}  // namespace dhrt::test
