// A frame of the log. What its body says can be written again and says the same then; what is
// written is intact, and is not once a bit of it is flipped.
#include "storage/log_format.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr Origin own{1, 1, 0};

class Copy : public LogVisitor {
 public:
  void record(const CollectionRef& collection, Bytes key, const RecordView& record,
              bool joins_seen) override {
    frame.add_record(collection, key, record, joins_seen);
  }
  void contexts(const CollectionRef& collection, const Context& seen,
                const Context& flushed) override {
    frame.add_contexts(collection, seen, flushed);
  }
  void erased(const CollectionRef& collection) override { frame.add_erase(collection); }
  void forgotten(const CollectionRef& collection, const Context& dots, std::uint64_t hlc) override {
    frame.add_forgotten(collection, dots, hlc);
  }

  FrameBuilder frame{own};
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  (void)decode_segment_header(input);
  (void)decode_frame_head(input);
  (void)frame_is_intact(input);
  Copy first;
  if (!visit_frame(input, own, first)) return 0;
  std::string written(first.frame.finish({.position = 1}));
  check(frame_is_intact(written), "what is written is intact");
  Copy second;
  const Bytes body = Bytes(written).substr(log_frame_head_bytes);
  check(visit_frame(body, own, second).has_value(), "what is written is read back");
  check(second.frame.finish({.position = 1}) == written, "it says the same");
  char& flipped = written[fuzz::split_of(written) % written.size()];
  flipped = static_cast<char>(flipped ^ 4);
  check(!frame_is_intact(written), "a flipped bit is noticed");
  return 0;
}
