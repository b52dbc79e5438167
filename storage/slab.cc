#include "storage/slab.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "storage/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define DHRT_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DHRT_ADDRESS_SANITIZER
#endif
#endif

#ifdef DHRT_ADDRESS_SANITIZER
extern "C" void __asan_poison_memory_region(const volatile void* begin, std::size_t bytes);
extern "C" void __asan_unpoison_memory_region(const volatile void* begin, std::size_t bytes);
#endif

namespace dhrt {

namespace {

constexpr std::size_t page_bytes = 4096;

// With the address sanitizer, who reads a block that is free is found out.
void forbid([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) {
#ifdef DHRT_ADDRESS_SANITIZER
  __asan_poison_memory_region(begin, bytes);
#endif
}

void permit([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) {
#ifdef DHRT_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(begin, bytes);
#endif
}

constexpr std::size_t round_up(std::size_t bytes, std::size_t step) {
  return (bytes + step - 1) / step * step;
}

// Above fine_max: the step between sizes is an eighth of the power of two below.
unsigned step_bits(std::size_t bytes) {
  return static_cast<unsigned>(std::bit_width(bytes - 1)) - 4;
}

// Address space at a multiple of its size; memory comes when it is written to.
void* map_chunk(std::size_t size) {
  const int protection = PROT_READ | PROT_WRITE;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* at = mmap(nullptr, size, protection, flags, -1, 0);
  check(at != MAP_FAILED, "the system has memory for records");
  if (reinterpret_cast<std::uintptr_t>(at) % size == 0) return at;
  munmap(at, size);
  char* const wide = static_cast<char*>(mmap(nullptr, 2 * size, protection, flags, -1, 0));
  check(wide != MAP_FAILED, "the system has memory for records");
  const std::size_t before = (size - reinterpret_cast<std::uintptr_t>(wide) % size) % size;
  if (before > 0) munmap(wide, before);
  munmap(wide + before + size, size - before);
  return wide + before;
}

}  // namespace

// Near the begin of its memory; the blocks follow. Not right at it: of lines whose addresses differ
// by a multiple of 256 KiB a processor's cache keeps only a few.
struct alignas(64) Slab::Chunk {
  Chunk* next;  // In the ring of its size, while it has a block to give.
  Chunk* before;
  void* given_back;  // Blocks that were freed, each with the address of the next in it.
  std::uint32_t block_bytes;
  std::uint32_t used;     // Blocks.
  std::uint32_t cut;      // Bytes from the begin that blocks were cut from.
  std::uint32_t touched;  // Bytes from the begin that have memory behind them.
  std::uint16_t of_class;
  bool is_chosen;  // For evacuation: it is in no list.

  static constexpr std::size_t lines = 16;  // That a chunk may be at.
  // Where in its memory a chunk is.
  static std::size_t offset_in(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory) / chunk_bytes % lines * 64;
  }
  static char* memory_of(const void* block) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how a block leads to its chunk.
    return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(block) &
                                   ~std::uintptr_t{chunk_bytes - 1});
  }
  static Chunk* of(const void* block) {
    char* const memory = memory_of(block);
    return reinterpret_cast<Chunk*>(memory + offset_in(memory));
  }
  char* begin() { return memory_of(this); }
  bool has_room() const { return given_back != nullptr || cut + block_bytes <= chunk_bytes; }
  // Blocks that were ever given.
  std::uint32_t blocks() const {
    const std::size_t first = offset_in(memory_of(this)) + sizeof(Chunk);
    return static_cast<std::uint32_t>((cut - first) / block_bytes);
  }
};

// Most blocks that are asked for are in none of them: a bit per address, of which others have the
// same, says so without a search.
struct Slab::Evacuation {
  std::vector<Chunk*> chunks;
  std::bitset<1024> bits;

  static std::size_t bit_of(const void* block) {
    return reinterpret_cast<std::uintptr_t>(block) / chunk_bytes % 1024;
  }
};

std::size_t Slab::class_of(std::size_t bytes) {
  if (bytes <= fine_max) return (bytes - 1) / 8;
  const unsigned bits = step_bits(bytes);
  // `bits` is 6 for the first sizes above fine_max; eight classes each.
  return 64 + (bits - 6) * std::size_t{8} + ((bytes - 1) >> bits) - 8;
}

std::size_t Slab::rounded_coarsely(std::size_t bytes) {
  if (bytes > block_max) return bytes;
  return round_up(bytes, std::size_t{1} << step_bits(bytes));
}

Slab::Slab() = default;

Slab::~Slab() {
  for (void* chunk : chunks_) {
    permit(chunk, chunk_bytes);
    munmap(chunk, chunk_bytes);
  }
}

void* Slab::allocate(std::size_t bytes) {
  if (bytes > block_max) {
    void* const block = std::malloc(bytes);
    check(block != nullptr, "the system has memory for a record");
    count(bytes, 0);
    return block;
  }
  const std::size_t of_class = class_of(bytes);
  Chunk* chunk = classes_[of_class].open;
  if (chunk == nullptr) chunk = new_chunk(of_class, rounded(bytes));
  void* const block = cut(*chunk);
  ++chunk->used;
  if (!chunk->has_room()) unlink(*chunk);
  return block;
}

void Slab::free(void* block, std::size_t bytes) {
  if (bytes > block_max) {
    std::free(block);
    count(0, bytes);
    return;
  }
  Chunk& chunk = *Chunk::of(block);
  const bool was_full = !chunk.has_room();
  std::memcpy(block, &chunk.given_back, sizeof(void*));
  chunk.given_back = block;
  ++classes_[chunk.of_class].spare;
  forbid(block, chunk.block_bytes);
  if (was_full) link(chunk);
  if (--chunk.used == 0) retire(chunk);
}

void Slab::prefetch_free(const void* block) {
  __builtin_prefetch(Chunk::of(block), 1);
}

// A block that was freed is likelier to be in the processor's cache than a new one.
void* Slab::cut(Chunk& chunk) {
  if (void* const block = chunk.given_back; block != nullptr) {
    permit(block, chunk.block_bytes);
    std::memcpy(&chunk.given_back, block, sizeof(void*));
    --classes_[chunk.of_class].spare;
    return block;
  }
  void* const block = chunk.begin() + chunk.cut;
  chunk.cut += chunk.block_bytes;
  ++classes_[chunk.of_class].blocks;
  if (chunk.cut > chunk.touched) {
    const auto touched = static_cast<std::uint32_t>(round_up(chunk.cut, page_bytes));
    count(touched - chunk.touched, 0);
    chunk.touched = touched;
  }
  return block;
}

Slab::Chunk* Slab::new_chunk(std::size_t of_class, std::size_t block_bytes) {
  std::uint32_t touched = 0;
  void* memory = nullptr;
  if (warm_ != nullptr) {
    memory = warm_->begin();
    touched = warm_->touched;
    warm_ = nullptr;
  } else if (!cold_.empty()) {
    memory = cold_.back();
    cold_.pop_back();
  } else {
    memory = map_chunk(chunk_bytes);
    chunks_.push_back(memory);
  }
  if (touched == 0) {
    touched = page_bytes;
    count(page_bytes, 0);
  }
  const std::size_t offset = Chunk::offset_in(memory);
  auto* const chunk = new (static_cast<char*>(memory) + offset) Chunk{};
  chunk->block_bytes = static_cast<std::uint32_t>(block_bytes);
  chunk->cut = static_cast<std::uint32_t>(offset + sizeof(Chunk));
  chunk->touched = touched;
  chunk->of_class = static_cast<std::uint16_t>(of_class);
  link(*chunk);
  return chunk;
}

// At the front: the block that was just freed is the next to be given.
void Slab::link(Chunk& chunk) {
  Chunk*& front = classes_[chunk.of_class].open;
  chunk.next = front;
  chunk.before = nullptr;
  if (front != nullptr) front->before = &chunk;
  front = &chunk;
}

void Slab::unlink(Chunk& chunk) {
  if (chunk.next != nullptr) chunk.next->before = chunk.before;
  (chunk.before != nullptr ? chunk.before->next : classes_[chunk.of_class].open) = chunk.next;
}

// One empty chunk stays as it is: a size that comes and goes does not call the system each time.
void Slab::retire(Chunk& chunk) {
  Class& of = classes_[chunk.of_class];
  const std::uint32_t blocks = chunk.blocks();
  of.blocks -= blocks;
  of.spare -= blocks;
  if (chunk.is_chosen) {
    std::erase(evacuation_->chunks, &chunk);
  } else {
    unlink(chunk);
  }
  char* const memory = chunk.begin();
  permit(memory, chunk_bytes);
  if (warm_ == nullptr) {
    warm_ = &chunk;
    return;
  }
  count(0, chunk.touched);
  madvise(memory, chunk_bytes, MADV_DONTNEED);
  cold_.push_back(memory);
}

bool Slab::begin_evacuation() {
  check(evacuation_ == nullptr, "one evacuation ends before the next begins");
  for (Class& of_class : classes_) {
    if (of_class.spare > of_class.used() / 8) choose(of_class);
  }
  return evacuation_ != nullptr;
}

// The emptiest first, until half of what may be free is left: what a chunk holds goes where others
// have room.
void Slab::choose(Class& of_class) {
  std::vector<Chunk*> chunks;
  for (Chunk* chunk = of_class.open; chunk != nullptr; chunk = chunk->next)
    chunks.push_back(chunk);
  std::ranges::sort(chunks, {}, [](const Chunk* chunk) {
    return static_cast<double>(chunk->used) / static_cast<double>(chunk->blocks());
  });
  const std::uint32_t enough = of_class.used() / 16;
  std::uint32_t spare = of_class.spare;
  for (Chunk* const chunk : chunks) {
    const std::uint32_t blocks = chunk->blocks();
    const auto of_full = static_cast<std::uint32_t>(chunk_bytes / chunk->block_bytes);
    if (spare < enough + blocks || spare < of_full) return;
    spare -= blocks;
    if (evacuation_ == nullptr) evacuation_ = std::make_unique<Evacuation>();
    unlink(*chunk);
    chunk->is_chosen = true;
    evacuation_->chunks.push_back(chunk);
    evacuation_->bits.set(Evacuation::bit_of(chunk));
  }
}

bool Slab::is_chosen(const void* block) const {
  if (!evacuation_->bits.test(Evacuation::bit_of(block))) return false;
  return std::ranges::any_of(evacuation_->chunks, [block](const Chunk* chunk) {
    return Chunk::memory_of(chunk) == Chunk::memory_of(block);
  });
}

void Slab::end_evacuation() {
  for (Chunk* const chunk : evacuation_->chunks) {
    chunk->is_chosen = false;
    link(*chunk);
  }
  evacuation_.reset();
}

// Only who holds the stripe's lock writes.
void Slab::count(std::size_t added, std::size_t taken) {
  bytes_.store(bytes_.load(std::memory_order_relaxed) + added - taken, std::memory_order_relaxed);
}

}  // namespace dhrt
