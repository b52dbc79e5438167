#include "storage/writer.h"

#include <map>
#include <utility>

namespace dhrt {

namespace {

std::string to_text(const Version& version) {
  return std::to_string(version.hlc) + "-" + std::to_string(version.node);
}

Status check_preconditions(const WriteRequest& request, const std::optional<Record>& held,
                           bool existed) {
  if (request.if_absent && existed)
    return fail(ErrorCode::precondition,
                "the key exists with version " + to_text(held->version) + "; it was not written");
  if (request.if_version && !(existed && held->version == *request.if_version))
    return fail(ErrorCode::precondition,
                existed ? "the key has version " + to_text(held->version) + "; it was not written"
                        : "the key does not exist; it was not written");
  return {};
}

}  // namespace

Dot RecordWriter::next_dot(const Collection& collection) {
  return {origin_, collection.last_sequence(origin_) + 1};
}

Result<Written> RecordWriter::write(Collection& collection, WriteRequest request,
                                    WallMilliseconds wall) {
  auto held = collection.find(request.key);
  if (!held) return tl::unexpected(held.error());
  const bool existed = held->has_value() && visible(**held, wall);
  if (auto status = check_preconditions(request, *held, existed); !status)
    return tl::unexpected(status.error());

  Written written;
  written.existed = existed;
  Record& record = written.record;
  const std::uint64_t stored = held->has_value() ? (*held)->version.hlc : 0;
  record.version = {clock_.next(wall, std::max(stored, request.above_hlc)), origin_.node};
  record.dot = next_dot(collection);
  record.deleted = request.deletes;
  record.deadline = request.deletes ? 0 : request.deadline;
  if (existed && !request.deletes)
    record.created =
        (*held)->created != 0 ? (*held)->created : hlc_milliseconds((*held)->version.hlc);
  if (held->has_value()) record.previous = (*held)->dot;
  record.attributes = std::move(request.attributes);
  record.value = std::move(request.value);

  Batch batch;
  batch.seen.add(record.dot);
  // What a pull brought is not in the context yet; who replaces it has seen it.
  if (held->has_value()) batch.seen.add((*held)->dot);
  batch.puts.push_back({std::move(request.key), record});
  const auto position = store_.append(collection, std::move(batch));
  if (!position) return tl::unexpected(position.error());
  written.position = *position;
  return written;
}

Result<Position> RecordWriter::put_newer(Collection& collection,
                                         const std::vector<KeyedRecord>& records,
                                         WallMilliseconds wall, bool live) {
  Batch batch;
  // Two records of one key may be in one message: the later is compared with the earlier.
  std::map<Bytes, std::size_t> in_batch;
  for (const KeyedRecord& incoming : records) {
    const Record& record = incoming.record;
    const Origin& origin = record.dot.origin;
    if (live && (collection.seen().contains(record.dot) || batch.seen.contains(record.dot)))
      continue;
    if (live && collection.seen().knows_later_epoch(origin)) continue;
    clock_.observe(record.version.hlc, wall);
    if (live) batch.seen.add(record.dot);

    const auto earlier = in_batch.find(incoming.key);
    std::optional<Record> held;
    if (earlier != in_batch.end()) {
      held = batch.puts[earlier->second].record;
    } else {
      auto found = collection.find(incoming.key);
      if (!found) return tl::unexpected(found.error());
      held = std::move(*found);
    }
    // A damaged copy is replaced by the same write, intact.
    const bool heals = held && held->damaged && !record.damaged && held->dot == record.dot;
    if (held && !heals && !newer(record, *held)) continue;
    if (held && held->dot != record.dot) batch.seen.add(held->dot);

    KeyedRecord put{incoming.key,
                    collection.flushed().contains(record.dot) ? tombstone_of(record) : record};
    put.record.previous.reset();
    if (earlier != in_batch.end()) {
      batch.puts[earlier->second] = std::move(put);
    } else {
      in_batch.emplace(incoming.key, batch.puts.size());
      batch.puts.push_back(std::move(put));
    }
  }
  return store_.append(collection, std::move(batch));
}

Result<Position> RecordWriter::push(Collection& collection, const std::vector<KeyedRecord>& records,
                                    WallMilliseconds wall) {
  return put_newer(collection, records, wall, true);
}

Result<Position> RecordWriter::pull(Collection& collection, const std::vector<KeyedRecord>& records,
                                    WallMilliseconds wall) {
  return put_newer(collection, records, wall, false);
}

Result<Position> RecordWriter::merge(Collection& collection, const Context& vector) {
  Batch batch;
  batch.seen = vector;
  return store_.append(collection, std::move(batch));
}

Result<Context> RecordWriter::flush(Collection& collection) {
  Context flushed = collection.seen();
  if (auto position = apply_flush(collection, flushed); !position)
    return tl::unexpected(position.error());
  return flushed;
}

Result<Position> RecordWriter::apply_flush(Collection& collection, const Context& flushed) {
  Batch batch;
  batch.flushed = flushed;
  return store_.append(collection, std::move(batch));
}

}  // namespace dhrt
