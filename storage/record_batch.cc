#include "storage/record_batch.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"

namespace dhrt {

namespace {

// Of the length of an encoded record, nearly always.
constexpr std::size_t length_bytes = 2;

}  // namespace

Status RecordBatch::add(Bytes key, const RecordView& record, const std::optional<Dot>& previous) {
  const std::size_t start = bytes_.size();
  ByteWriter(bytes_).bytes(key);
  // The length stands in front, and is known behind.
  const std::size_t length_at = bytes_.size();
  bytes_.append(length_bytes, '\0');
  const auto alias = encode_sent_record(bytes_, key, record, previous, origins_);
  if (!alias) {
    bytes_.resize(start);
    return tl::unexpected(alias.error());
  }
  std::string length;
  ByteWriter(length).varint(bytes_.size() - length_at - length_bytes);
  bytes_.replace(length_at, length_bytes, length);
  ++count_;
  if (*alias >= tips_.size()) tips_.resize(*alias + std::size_t{1});
  tips_[*alias] = std::max(tips_[*alias], record.dot.sequence);
  return {};
}

Status RecordBatch::add(const KeyedRecord& entry) {
  return add(entry.key, view_of(entry.record), entry.record.previous);
}

Result<RecordBatch> RecordBatch::read(ByteReader& reader, std::size_t count, OriginTable origins) {
  RecordBatch batch;
  batch.origins_ = std::move(origins);
  const Bytes from_here = reader.rest();
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    reader.bytes(key_bytes_max);
    const Bytes encoded = reader.bytes(from_here.size());
    if (!reader.ok()) break;
    if (auto status = check_record(encoded, batch.origins_); !status)
      return tl::unexpected(std::move(status.error()));
  }
  if (!reader.ok()) return batch;
  batch.bytes_ = from_here.substr(0, from_here.size() - reader.rest().size());
  batch.count_ = count;
  return batch;
}

bool RecordBatch::Cursor::next(KeyedView& shown) {
  if (reader_.empty()) return false;
  shown.key = reader_.bytes(key_bytes_max);
  auto record =
      decode_record_view(reader_.bytes(batch_.bytes_.size()), shown.key,
                         [this](std::uint16_t alias) { return batch_.origins_.origin(alias); });
  check(record.has_value(), "what was encoded here, or looked at by read(), decodes");
  shown.record = *record;
  return true;
}

bool RecordBatch::Cursor::next_key(Bytes& key) {
  if (reader_.empty()) return false;
  key = reader_.bytes(key_bytes_max);
  reader_.bytes(batch_.bytes_.size());
  return true;
}

std::vector<KeyedRecord> RecordBatch::records() const {
  std::vector<KeyedRecord> records;
  records.reserve(count_);
  ByteReader reader(bytes_);
  while (!reader.empty()) {
    const Bytes key = reader.bytes(key_bytes_max);
    auto record = decode_record(reader.bytes(bytes_.size()), key, origins_);
    check(record.has_value(), "what was encoded here, or looked at by read(), decodes");
    records.push_back({std::string(key), std::move(*record)});
  }
  return records;
}

bool RecordBatch::operator==(const RecordBatch& other) const {
  return origins_ == other.origins_ && bytes_ == other.bytes_;
}

SharedBatch share(RecordBatch batch) {
  return std::make_shared<const RecordBatch>(std::move(batch));
}

SharedBatch batch_with(const std::vector<KeyedRecord>& records) {
  RecordBatch batch;
  for (const KeyedRecord& entry : records)
    check(batch.add(entry).has_value(), "a table can name the origins of few records");
  return share(std::move(batch));
}

}  // namespace dhrt
