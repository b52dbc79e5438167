// Which keys are read most of late, of a collection: a node that joins is sent these first.
//
// Intuition: one read in `reads_per_sample` is counted. Where there are counters for no more keys,
// all are halved, and those that come to nothing make room: so what is read no more is forgotten,
// at the speed at which other keys are read. A key that is read again and again stays.
// Source: lossy counting (Manku and Motwani, VLDB 2002), with halving instead of an error bound.
//
// Bounds: counters_max keys of at most key_bytes_max bytes, 1.5 MiB; longer keys are not counted.
// Cost: a thread-local countdown a read; half a millisecond to name keys. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/base/bytes.h"

namespace dhrt {

class HotKeys {
 public:
  static constexpr std::size_t counters_max = 4096;
  static constexpr std::size_t key_bytes_max = 256;

  // 1: every read counts.
  explicit HotKeys(std::uint32_t reads_per_sample) : reads_per_sample_(reads_per_sample) {}

  void read(Bytes key) {
    // Of all collections together: each is sampled by its share of the reads.
    static thread_local std::uint32_t reads_until_sample = 0;
    if (reads_per_sample_ != 1 && reads_until_sample-- != 0) return;
    count(key);
    if (reads_per_sample_ != 1) reads_until_sample = next_gap();
  }

  // Keys that were counted more than once, the hottest first. Keys that are as hot as each other
  // are in their own order.
  std::vector<std::string> hottest(std::size_t keys_max) const;

 private:
  void count(Bytes key);
  // Not a fixed number, or a client's pattern could keep out of the samples.
  std::uint32_t next_gap() const;

  const std::uint32_t reads_per_sample_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> counts_;
};

}  // namespace dhrt
