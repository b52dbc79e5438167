// How fields of peer messages become bytes, and back.
//
// Private to peer_codec.cc, whose `fields` functions use it. Threads: any, one object each.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cluster/message.h"
#include "storage/base/codec.h"
#include "storage/record_codec.h"

namespace dhrt::peer {

// About what stands around the records of a write.
inline constexpr std::size_t write_overhead_bytes = 512;

// A writer takes what a reader fills. Both have the same members, so that `fields` reads like
// a grammar and the two directions cannot drift apart.

class PayloadWriter {
 public:
  void u8(std::uint8_t value) { writer_.u8(value); }
  void u16(std::uint16_t value) { writer_.u16(value); }
  void u32(std::uint32_t value) { writer_.u32(value); }
  void u64(std::uint64_t value) { writer_.u64(value); }
  void boolean(bool value) { writer_.u8(value ? 1 : 0); }
  // In one byte; earlier versions knew the first alone.
  void booleans(bool first, bool second) {
    writer_.u8(static_cast<std::uint8_t>((first ? 1 : 0) | (second ? 2 : 0)));
  }
  void text(Bytes value, std::size_t) { writer_.bytes(value); }
  void context(const Context& value) { encode(writer_, value); }

  template <typename Enum>
  void enumeration(Enum value, Enum) {
    writer_.u8(static_cast<std::uint8_t>(value));
  }
  template <typename T>
  void optional(const std::optional<T>& value) {
    boolean(value.has_value());
    if (value) fields(*this, *value);
  }
  template <typename T>
  void list(const std::vector<T>& items) {
    writer_.varint(items.size());
    for (const T& item : items)
      fields(*this, item);
  }
  // What a message was without in earlier versions.
  template <typename T>
  void tail(const T& value) {
    fields(*this, value);
  }
  // The length of the value's own fields, then these.
  template <typename T>
  void sized(const T& value) {
    PayloadWriter inner;
    inner_fields(inner, value);
    writer_.bytes(inner.body_);
  }

  void origins() { with_origins_ = true; }
  // Of a batch, or of records.
  void origins_of(bool is_batch, const SharedBatch& batch) {
    if (!is_batch) return origins();
    if (batch != nullptr) body_.reserve(batch->bytes().size() + write_overhead_bytes);
    encode(writer_, batch != nullptr ? batch->origins() : OriginTable());
  }
  void batch(const SharedBatch& batch) {
    writer_.varint(batch != nullptr ? batch->count() : 0);
    if (batch != nullptr) writer_.raw(batch->bytes());
  }
  void record(Bytes key, const Record& value) {
    std::string encoded;
    auto status = encode_record(encoded, key, value, origins_, {.with_previous = true});
    if (!status && status_) status_ = std::move(status);
    writer_.bytes(encoded);
  }

  Result<std::string> finish() {
    if (!status_) return tl::unexpected(std::move(status_.error()));
    if (!with_origins_) return std::move(body_);
    std::string payload;
    ByteWriter writer(payload);
    encode(writer, origins_);
    return payload += body_;
  }

 private:
  std::string body_;
  ByteWriter writer_{body_};
  OriginTable origins_;
  bool with_origins_ = false;
  Status status_;
};

class PayloadReader {
 public:
  explicit PayloadReader(Bytes payload) : reader_(payload), payload_bytes_(payload.size()) {}

  void u8(std::uint8_t& value) { value = reader_.u8(); }
  void u16(std::uint16_t& value) { value = reader_.u16(); }
  void u32(std::uint32_t& value) { value = reader_.u32(); }
  void u64(std::uint64_t& value) { value = reader_.u64(); }
  // The other bits are for later versions.
  void boolean(bool& value) { value = (reader_.u8() & 1) != 0; }
  void booleans(bool& first, bool& second) {
    const std::uint8_t bits = reader_.u8();
    first = (bits & 1) != 0;
    second = (bits & 2) != 0;
  }
  void text(std::string& value, std::size_t bytes_max) { value = reader_.bytes(bytes_max); }
  void context(Context& value) { value = decode_context(reader_); }

  template <typename Enum>
  void enumeration(Enum& value, Enum last) {
    const std::uint8_t number = reader_.u8();
    if (number > static_cast<std::uint8_t>(last))
      reader_.fail();
    else
      value = static_cast<Enum>(number);
  }
  template <typename T>
  void optional(std::optional<T>& value) {
    bool present = false;
    boolean(present);
    if (present) fields(*this, value.emplace());
  }
  template <typename T>
  void list(std::vector<T>& items) {
    const std::size_t count = reader_.count(1);
    for (std::size_t i = 0; i < count && reader_.ok(); ++i)
      fields(*this, items.emplace_back());
  }
  template <typename T>
  void tail(T& value) {
    if (!reader_.empty()) fields(*this, value);
  }
  template <typename T>
  void sized(T& value) {
    ByteReader inner(reader_.bytes(payload_bytes_));
    std::swap(reader_, inner);
    inner_fields(*this, value);
    std::swap(reader_, inner);
    if (!inner.ok()) reader_.fail();
  }

  void origins() { origins_ = decode_origin_table(reader_); }
  void origins_of(bool, const SharedBatch&) { origins(); }
  // Null if it is empty.
  void batch(SharedBatch& batch) {
    auto read = RecordBatch::read(reader_, reader_.count(2), std::move(origins_));
    if (!read) {
      why_ = std::move(read.error().message);
      reader_.fail();
    } else if (!read->empty()) {
      batch = share(std::move(*read));
    }
  }
  void record(Bytes key, Record& value) {
    const Bytes encoded = reader_.bytes(payload_bytes_);
    if (!reader_.ok()) return;
    auto decoded = decode_record(encoded, key, origins_);
    if (decoded) {
      value = std::move(*decoded);
      return;
    }
    why_ = std::move(decoded.error().message);
    reader_.fail();
  }

  bool ok() const { return reader_.ok(); }
  const std::string& why() const { return why_; }

 private:
  ByteReader reader_;
  std::size_t payload_bytes_;
  OriginTable origins_;
  std::string why_ = "it is cut, or a field is out of range";
};

// A writer gives const values, a reader others.
template <typename T, typename Plain>
concept Is = std::same_as<std::remove_const_t<T>, Plain>;

}  // namespace dhrt::peer
