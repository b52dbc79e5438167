// A context that decodes comes back, holds itself and is not changed by merging with itself.
#include "storage/context.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader reader(fuzz::bytes_of(data, size));
  const Context context = decode_context(reader);
  if (!reader.ok()) return 0;
  std::string encoded;
  ByteWriter writer(encoded);
  encode(writer, context);
  ByteReader again(encoded);
  check(decode_context(again) == context && again.ok(), "what is written is read back");
  check(context.contains(context), "a set contains itself");
  Context merged = context;
  merged.merge(context);
  check(merged == context && merged.hash() == context.hash(),
        "merging with itself changes nothing");
  return 0;
}
