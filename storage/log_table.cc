#include "storage/log_table.h"

#include <algorithm>
#include <tuple>

#include "storage/base/give_way.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

// Together with LMDB's own a page: more would take two that must lie side by side.
constexpr std::size_t recent_bytes = 4096 - 16;

auto order(const LogChange& change) {
  return std::tuple(change.dot.origin, change.dot.sequence, !change.adds(), change.number);
}

bool in_block(const LogChange& change, AliasDot block) {
  return block_of(change.dot) == block;
}

void change_block(LogBlock& block, const LogChange& change) {
  Bytes& slot = block[place_in_block(change.dot)];
  if (change.adds()) {
    slot = change.key;
  } else if (!slot.empty() && hash64(slot) == change.number) {
    slot = {};
  }
}

}  // namespace

void sort_log_changes(std::vector<LogChange>& changes) {
  const auto before = [](const LogChange& left, const LogChange& right) {
    return order(left) < order(right);
  };
  std::ranges::sort(changes, giving_way(before));
}

std::size_t change_log(WriteTxn& txn, std::span<const LogChange> changes, std::size_t pages_max) {
  WriteCursor cursor(txn, LmdbTable::log);
  std::size_t done = 0;
  while (done < changes.size() && cursor.pages() < pages_max && txn.ok()) {
    const AliasDot dots = block_of(changes[done].dot);
    const std::string key = log_key(dots);
    const auto found = cursor.find(key);
    const std::string before(found.value_or(Bytes()));
    // One that does not decode is as good as absent, and replaced.
    LogBlock block = decode_log_block(before).value_or(LogBlock{});
    for (; done < changes.size() && in_block(changes[done], dots); ++done)
      change_block(block, changes[done]);
    const std::string after = encode_log_block(block);
    if (after == before) continue;
    if (after.empty()) {
      cursor.remove();
    } else {
      cursor.put(key, after);
    }
  }
  return done;
}

void change_graves(WriteTxn& txn, std::span<const LogChange> changes) {
  if (std::ranges::none_of(changes, &LogChange::grave)) return;
  WriteCursor cursor(txn, LmdbTable::expiry);
  for (const LogChange& change : changes) {
    if (!change.grave) continue;
    const std::string key = expiry_key(grave_deadline, change.dot);
    const auto found = cursor.find(key);
    if (change.adds()) {
      if (found != change.key) cursor.put(key, change.key);
    } else if (found && hash64(*found) == change.number) {
      cursor.remove();
    }
  }
}

void RecentWriter::add(AliasDot dot, Bytes key, bool grave) {
  std::string entry;
  append_recent(entry, dot, key, grave);
  if (gathered_.size() + entry.size() > recent_bytes) finish();
  gathered_ += entry;
}

void RecentWriter::finish() {
  if (gathered_.empty()) return;
  const std::string key = recent_key(parse_recent_key(cursor_.last_key()).value_or(0) + 1);
  cursor_.find(key);
  cursor_.put(key, gathered_);
  gathered_.clear();
}

bool read_recent(Bytes entry, FunctionRef<void(AliasDot dot, Bytes key, bool grave)> show) {
  ByteReader reader(entry);
  while (reader.ok() && !reader.empty()) {
    AliasDot dot;
    dot.origin = reader.u16();
    dot.sequence = reader.varint();
    const std::uint64_t number = reader.varint();
    const bool grave = number >= recent_grave;
    const std::uint64_t bytes = grave ? number - recent_grave : number;
    if (bytes > key_bytes_max) reader.fail();
    if (!reader.ok()) break;
    const Bytes key = reader.raw(static_cast<std::size_t>(bytes));
    if (reader.ok() && !key.empty()) show(dot, key, grave);
  }
  return reader.ok();
}

}  // namespace dhrt
