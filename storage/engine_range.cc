// Reading in key order for who compares: everything that is held, as a power cut would leave it.
//
// Intuition: as in a walk, the durable context is taken first, and made smaller at the end by what
// was replaced by writes that are not durable. Of a key with such a write the file's record is
// shown, if there is one: that is what a power cut leaves, and without a look at it (a blind write)
// nobody knows that it is to be left out of the context.
#include <utility>

#include "storage/engine_scan.h"

namespace dhrt {

class EngineCollection::RangeReader final : public KeyReader {
 public:
  RangeReader(EngineCollection& collection, const RangeRequest& request)
      : KeyReader(collection, request.from, request.limits),
        request_(request),
        published_(collection.begin_walk()),
        flushed_(collection.contexts_.durable_flushed()),
        durable_(collection.contexts_.durable()) {}
  ~RangeReader() override { collection_.end_walk(); }

  Result<RangeSlice> run() {
    if (auto status = read(); !status) return tl::unexpected(status.error());
    collection_.hide_replaced(durable_, published_);
    if (next_ && !has(*next_)) next_.reset();
    return RangeSlice{.records = std::move(records_),
                      .batch = std::move(batch_),
                      .next = std::move(next_),
                      .durable = std::move(durable_)};
  }

 private:
  bool has(Bytes key) const override { return !request_.to || key < Bytes(*request_.to); }
  std::optional<RecordView> take(const Entry& entry) override {
    const RecordView view = entry.view(*origin(entry.dot().origin));
    if (is_at_risk(view.dot)) return std::nullopt;
    return shown(view);
  }
  void note_in_file(KeyedRecord& /*in_memory*/, Bytes /*encoded*/) override {}
  bool wants(const RecordView& /*in_file*/) override { return true; }
  std::optional<Record> undecodable() override { return std::nullopt; }
  bool finish(RecordView& record) override {
    if (is_at_risk(record.dot)) return false;
    record = shown(record);
    return true;
  }
  bool with_values() const override { return request_.with_values; }
  RecordBatch* batch() override { return request_.encoded ? &batch_ : nullptr; }

  // A write of ours that a power cut could take.
  bool is_at_risk(const Dot& dot) const {
    return collection_.contexts_.is_own(dot.origin) && !durable_.contains(dot);
  }
  RecordView shown(const RecordView& view) const {
    return !view.deleted && flushed_.contains(view.dot) ? tombstone_of(view) : view;
  }

  const RangeRequest& request_;
  RecordBatch batch_;
  const std::vector<Position> published_;
  const Context flushed_;
  Context durable_;
};

Result<RangeSlice> EngineCollection::range(const RangeRequest& request) {
  return RangeReader(*this, request).run();
}

}  // namespace dhrt
