// Records of one collection as nodes send them: encoded once, by the node that wrote them, and
// decoded where they are put.
//
// Intuition: a write is told to every peer. Its bytes are made while the record is at hand, stand
// behind those of the writes before it, and go to all of them as they are.
//
// batch := (bytes key, bytes record)*, record as in record_codec.h; the origins that records name
//          are a table beside it.
// Errors: full: more origins than a table can name. corrupt: a record that does not decode.
// Threads: a value; not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/codec.h"
#include "storage/base/result.h"
#include "storage/record.h"
#include "storage/record_codec.h"

namespace dhrt {

class RecordBatch {
 public:
  RecordBatch() = default;
  // What came from a peer: takes `count` records from the reader, whose ok() is false if they are
  // cut. Corrupt: which of their fields is wrong.
  static Result<RecordBatch> read(ByteReader& reader, std::size_t count, OriginTable origins);

  // Full: nothing was added; the record goes into another batch.
  Status add(Bytes key, const RecordView& record, const std::optional<Dot>& previous);
  Status add(const KeyedRecord& entry);

  bool empty() const { return count_ == 0; }
  std::size_t count() const { return count_; }
  Bytes bytes() const { return bytes_; }
  const OriginTable& origins() const { return origins_; }
  // The highest sequence of each origin among the records that were added; by alias, 0 = none.
  const std::vector<std::uint64_t>& tips() const { return tips_; }
  // Copies of all of them.
  std::vector<KeyedRecord> records() const;

  // Goes through the records, in order, without copying them.
  class Cursor {
   public:
    // `batch` outlives the cursor, and what it shows.
    explicit Cursor(const RecordBatch& batch) : batch_(batch), reader_(batch.bytes_) {}
    // False: there are no more.
    bool next(KeyedView& shown);
    // The same without a look at the record.
    bool next_key(Bytes& key);

   private:
    const RecordBatch& batch_;
    ByteReader reader_;
  };

  bool operator==(const RecordBatch& other) const;

 private:
  OriginTable origins_;
  std::string bytes_;
  std::size_t count_ = 0;
  std::vector<std::uint64_t> tips_;
};

// Shared by everybody whom it goes to. Null: no records.
using SharedBatch = std::shared_ptr<const RecordBatch>;
SharedBatch share(RecordBatch batch);
// For a few records at a time; check: they name no more origins than a table can.
SharedBatch batch_with(const std::vector<KeyedRecord>& records);

}  // namespace dhrt
