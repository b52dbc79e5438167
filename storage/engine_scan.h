// Reading a collection in key order: what is in memory and what is in the file, merged.
//
// Intuition: memory is looked at first, and the file in a transaction begun after that: an entry
// that a checkpoint takes out of memory's order meanwhile is then in the file. Memory is read in
// rounds, a few entries of every stripe; a round is complete up to the least of the last keys.
//
// Who reads says where it ends, what of memory it takes, and what of all it shows.
// Threads: any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/engine_collection.h"
#include "storage/slice.h"

namespace dhrt {

class EngineCollection::KeyReader {
 public:
  KeyReader(const KeyReader&) = delete;
  KeyReader& operator=(const KeyReader&) = delete;

 protected:
  KeyReader(EngineCollection& collection, std::string from, const SliceLimits& limits)
      : collection_(collection), limits_(limits), filler_(limits), from_(std::move(from)) {}
  virtual ~KeyReader() = default;

  // Fills `records_`, and says in `next_` where to go on.
  Status read();

  // False: the key is behind the last one.
  virtual bool has(Bytes key) const = 0;
  // What to take of an entry, in stripe; absent: what the file may have of its key stands.
  virtual std::optional<RecordView> take(const Entry& entry) = 0;
  // Of a record that memory has as well.
  virtual void note_in_file(KeyedRecord& in_memory, Bytes encoded) = 0;
  // Of one that the file alone has, and that is intact: false leaves it out.
  virtual bool wants(const RecordView& in_file) = 0;
  // Of one that does not decode: what to show of it, if anything.
  virtual std::optional<Record> undecodable() = 0;
  // Of any, at the end: false leaves it out.
  virtual bool finish(RecordView& record) = 0;
  virtual bool with_values() const = 0;
  // Where they are encoded to; null: they are copied into `records_`.
  virtual RecordBatch* batch() { return nullptr; }

  const Origin* origin(OriginAlias alias) const { return collection_.origins_.origin(alias); }

  EngineCollection& collection_;
  std::vector<KeyedRecord> records_;
  std::optional<std::string> next_;

 private:
  // Where keys of this round end; absent: there are no more.
  using Bound = std::optional<std::string>;

  bool all_ordered();
  Status round();
  void gather(Bound& bound);
  void merge_gathered(std::vector<std::size_t> ends);
  KeyedRecord& in_memory(std::size_t place) { return memory_[order_[place].index]; }
  Status merge_file(const Bound& bound, std::size_t& next);
  bool show_encoded(Bytes key, Bytes encoded);
  Status show_damaged(std::string key);
  void show(KeyedRecord entry);
  void show(Bytes key, RecordView record);
  void stop_at(std::string key);

  const SliceLimits limits_;
  SliceFiller filler_;
  std::string from_;
  std::vector<KeyedRecord> memory_;  // Stripe by stripe.
  struct Place {
    std::uint64_t begin;  // Of what keys do not share.
    std::size_t index;
  };
  std::vector<Place> order_;
  std::size_t looked_at_ = 0;
  std::size_t bytes_looked_at_ = 0;  // Of the file.
  bool full_ = false;
  bool ended_ = false;
};

}  // namespace dhrt
