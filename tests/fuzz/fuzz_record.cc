// A table of origins, then a record under the key "key": what decodes comes back.
#include "storage/base/codec.h"
#include "storage/record_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader reader(fuzz::bytes_of(data, size));
  OriginTable origins = decode_origin_table(reader);
  if (!reader.ok()) return 0;
  (void)find_attribute(reader.rest(), attribute_content_type);
  const auto record = decode_record(reader.rest(), "key", origins);
  if (!record) return 0;
  (void)with_attribute(record->attributes, attribute_content_type, "text/plain");
  std::string encoded;
  check(encode_record(encoded, "key", *record, origins, {.with_previous = true}).has_value(),
        "what was read can be written");
  const auto again = decode_record(encoded, "key", origins);
  check(again && *again == *record, "what is written is read back");
  return 0;
}
