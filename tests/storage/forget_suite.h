// What every store must do when tombstones may go; a part of run_store_suite().
#pragma once

#include "tests/storage/store_bench.h"

namespace dhrt::test {

inline void run_forget(Bench& bench, bool synced) {
  bench.append(batch_of({put("stays", "v", {here, 1}), tombstone("a", {here, 2})}));
  bench.set("b", "v", {here, 3});
  bench.settle(synced);
  bench.append(batch_of({tombstone("b", {here, 4}), tombstone("c", {there, 1})}));
  bench.append(batch_of({tombstone("d", {here, 7})}));
  const Context seen = bench.users->seen();
  Context everywhere = context_of(here, 1, 5);
  bench.forget(everywhere);
  CHECK_MESSAGE(bench.range({}) == "-c,-d,stays", "tombstones go, and of these dots alone");
  CHECK(bench.walk({}) == "stays,-d,-c");
  CHECK(bench.value("b") == "(none)");
  CHECK(bench.users->counts().live == 1);
  CHECK(bench.users->counts().tombstones == 2);
  CHECK(bench.users->counts().bytes == 6);
  CHECK(bench.users->forgotten().contains(Dot{here, 4}));
  CHECK(!bench.users->forgotten().contains(Dot{here, 7}));
  CHECK_MESSAGE(bench.users->seen() == seen, "what was seen stays so");

  bench.set("b", "back", {here, 8});
  bench.append(batch_of({put("c", "back", {there, 2}), tombstone("stays", {here, 9})}));
  everywhere.merge(context_of(here, 1, 9));
  everywhere.merge(context_of(there, 1, 9));
  bench.forget(everywhere);
  CHECK(bench.range({}) == "b,c");
  CHECK(bench.users->counts().live == 2);
  CHECK(bench.users->counts().tombstones == 0);
  CHECK(bench.users->forgotten().contains(Dot{here, 9}));
}

inline void run_forget_others(Bench& bench, bool synced) {
  for (std::uint64_t i = 1; i <= 100; ++i)
    bench.set("k" + std::to_string(i), "v", {here, i});
  for (std::uint64_t i = 101; i <= 150; ++i) {
    KeyedRecord entry = put("m" + std::to_string(i), "v", {here, i});
    entry.record.deadline = noon + i;
    bench.append(batch_of({entry}));
  }
  bench.settle(synced);
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(here, 11, 100)});
  bench.forget(context_of(here, 1, 1000));
  bench.maintain_all(noon + 140);
  bench.forget(context_of(here, 1, 1000));
  bench.forget(context_of(here, 1, 1000));
  CHECK(bench.users->counts().live == 20);
  CHECK_MESSAGE(bench.users->counts().tombstones == 0, "flushed and expired, whenever that was");
  CHECK(bench.value("k10") == "v");
  CHECK(bench.value("k11") == "(none)");
  CHECK(bench.value("m140") == "(none)");
  CHECK(bench.value("m141") == "v");
  bench.append({.puts = {put("late", "v", {here, 50})}, .seen = {}, .flushed = {}});
  CHECK_MESSAGE(bench.value("late") == "(deleted)", "what is flushed stays so");
}

// What is allowed is what was durable then.
inline void run_forget_durable(Bench& bench) {
  bench.append(batch_of({tombstone("a", {here, 1})}));
  bench.store->forget_tombstones(*bench.users, context_of(here, 1, 9));
  bench.sync();
  bench.maintain_all(0);
  if (bench.write_files) bench.write_files(*bench.store);
  CHECK(bench.value("a") == "(deleted)");
  bench.forget(context_of(here, 1, 9));
  CHECK(bench.value("a") == "(none)");
  CHECK(bench.users->keeps_all());
}

// What is written to its key later must get a version above it without knowing it.
inline void run_forget_ahead(Bench& bench, bool synced) {
  KeyedRecord ahead = tombstone("ahead", {here, 1});
  ahead.record.version.hlc = (noon + 5) << hlc_counter_bits;
  bench.append(batch_of({ahead, tombstone("past", {here, 2})}));
  bench.settle(synced);
  bench.forget({context_of(here, 1, 9), (noon + 1) << hlc_counter_bits});
  CHECK(bench.value("past") == "(none)");
  CHECK(bench.value("ahead") == "(deleted)");
  CHECK(bench.users->forgotten_hlc() == (noon << hlc_counter_bits) + 2);
  bench.forget({context_of(here, 1, 9), (noon + 6) << hlc_counter_bits});
  CHECK(bench.value("ahead") == "(none)");
  CHECK(bench.users->forgotten_hlc() == ahead.record.version.hlc);
}

}  // namespace dhrt::test
