// Concurrent writes: two of one key, neither of whose writers had seen the other. One of them wins
// (compare() in record.h) and the other is lost, though its client was told that it is stored.
//
// Intuition: contexts prove it. What comes in was not seen here, so that nothing written here in
// this start can have seen it: if it loses against such a write the two were concurrent. And what
// is pulled from its own writer comes with the writer's vector: if that has the record, but not
// what the record beats here, the writer had not seen what it beat. Versions prove nothing, and a
// record remembers nobody but itself, so that a write costs nothing more because of this.
//
// Hence the count is a lower bound: not counted is what neither rule proves (both writers are
// elsewhere, or wrote before they started anew), and not what loses nothing (tombstones, expired
// records, the same value twice). Each node counts what it can prove: the same conflict may be in
// the counts of several nodes, and in one count twice if a pull was begun anew.
//
// A collection with on_conflict=keep keeps the loser as a record of its own, below kept_prefix.
//
// Threads: loop thread only. Bounds: a number for each collection, and what one message lost.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog.h"
#include "storage/record.h"
#include "storage/writer.h"

namespace dhrt {

// '~' comes behind digits and letters: who lists a collection finds them last.
inline constexpr Bytes kept_prefix = "~conflict/";

inline bool is_kept_key(Bytes key) {
  return key.starts_with(kept_prefix);
}
// "~conflict/KEY/NODE-EPOCH-LOOP-SEQUENCE", the node in hexadecimal digits. Absent: longer than a
// key may be, so that the loser is counted and not kept.
std::optional<std::string> kept_key(Bytes key, const Dot& dot);

class Conflicts final : public ConflictSink {
 public:
  // `catalog` and `writer` outlive it; it hears of what the writer takes in.
  Conflicts(const Catalog& catalog, RecordWriter& writer);
  Conflicts(const Conflicts&) = delete;
  Conflicts& operator=(const Conflicts&) = delete;
  ~Conflicts() override;

  bool keeps(const Collection& collection) const override;
  void lost(const Collection& collection, const Lost& lost, std::optional<Record> record) override;

  // By collection, since the start; those of the system are not counted.
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }
  void collection_gone(const std::string& collection) { counts_.erase(collection); }

  // Writes the losers that are to be kept, of what was taken into `collection` since the last call,
  // and shows each as it was written: peers are to be told of it. What cannot be written is lost.
  using Show = FunctionRef<void(const WriteRequest& request, const Written& written)>;
  void write_kept(Collection& collection, WallMilliseconds wall, Show show);

 private:
  const Catalog& catalog_;
  RecordWriter& writer_;
  std::map<std::string, std::uint64_t> counts_;
  struct Kept {
    CollectionRef collection;
    KeyedRecord entry;
  };
  std::vector<Kept> kept_;
};

}  // namespace dhrt
