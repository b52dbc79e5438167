#include "storage/counter.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

#include "storage/base/codec.h"
#include "storage/record_codec.h"

namespace dhrt {

namespace {

// Bits of the first byte of the attribute.
constexpr std::uint8_t has_base = 1;
constexpr std::uint8_t base_is_deleted = 2;
constexpr std::uint8_t base_has_other_node = 4;  // The base's version has not the node of its dot.
constexpr std::uint8_t known_bits = 7;

constexpr std::size_t cell_bytes_min = 13;
// A node that was started so often since keeps the newest two and folds the others.
constexpr std::ptrdiff_t own_cells_max = 4;

// Small numbers of either sign are short.
std::uint64_t zigzag(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return number < 0 ? ~(bits << 1) : bits << 1;
}
std::int64_t unzigzag(std::uint64_t bits) {
  return static_cast<std::int64_t>((bits & 1) != 0 ? ~(bits >> 1) : bits >> 1);
}

std::pair<NodeId, std::uint32_t> name_of(const CounterCell& cell) {
  return {cell.node, cell.epoch};
}

std::string encode(const CounterState& counter) {
  std::string out;
  ByteWriter writer(out);
  const CounterState::Base& base = counter.base;
  if (base == CounterState::Base()) {
    writer.u8(0);
  } else {
    const bool other_node = base.version.node != base.dot.origin.node;
    writer.u8(static_cast<std::uint8_t>(has_base | (base.deleted ? base_is_deleted : 0) |
                                        (other_node ? base_has_other_node : 0)));
    writer.u64(base.version.hlc);
    if (other_node) writer.u64(base.version.node);
    writer.u64(base.dot.origin.node);
    writer.varint(base.dot.origin.epoch);
    writer.varint(base.dot.origin.loop);
    writer.varint(base.dot.sequence);
  }
  writer.varint(zigzag(counter.start));
  for (const CounterCell& cell : counter.cells) {
    writer.u64(cell.node);
    writer.varint(cell.epoch);
    writer.varint(cell.epoch - cell.from);
    writer.varint(cell.opened - base.version.hlc);
    writer.varint(cell.last - cell.opened);
    writer.varint(zigzag(cell.sum));
  }
  return out;
}

template <typename Number>
Number narrow(ByteReader& reader) {
  const std::uint64_t number = reader.varint();
  if (number > std::numeric_limits<Number>::max()) reader.fail();
  return static_cast<Number>(number);
}

CounterState::Base decode_base(ByteReader& reader) {
  const std::uint8_t bits = reader.u8();
  if ((bits & ~known_bits) != 0 || ((bits & has_base) == 0 && bits != 0)) reader.fail();
  CounterState::Base base;
  if ((bits & has_base) == 0) return base;
  base.version.hlc = reader.u64();
  if ((bits & base_has_other_node) != 0) base.version.node = reader.u64();
  base.dot.origin.node = reader.u64();
  if ((bits & base_has_other_node) == 0) base.version.node = base.dot.origin.node;
  base.dot.origin.epoch = narrow<std::uint32_t>(reader);
  base.dot.origin.loop = narrow<std::uint16_t>(reader);
  base.dot.sequence = reader.varint();
  base.deleted = (bits & base_is_deleted) != 0;
  return base;
}

// `from` and so much more; fails where that is beyond the range.
std::uint64_t decode_later(ByteReader& reader, std::uint64_t from) {
  std::uint64_t later = 0;
  if (__builtin_add_overflow(from, reader.varint(), &later)) reader.fail();
  return later;
}

CounterCell decode_cell(ByteReader& reader, const CounterState::Base& base) {
  CounterCell cell;
  cell.node = reader.u64();
  cell.epoch = narrow<std::uint32_t>(reader);
  const auto folded = narrow<std::uint32_t>(reader);
  if (folded > cell.epoch) reader.fail();
  cell.from = cell.epoch - folded;
  cell.opened = decode_later(reader, base.version.hlc);
  if (cell.opened == base.version.hlc) reader.fail();
  cell.last = decode_later(reader, cell.opened);
  cell.sum = unzigzag(reader.varint());
  return cell;
}

std::optional<CounterState> decode(Bytes encoded) {
  ByteReader reader(encoded);
  CounterState counter;
  counter.base = decode_base(reader);
  counter.start = unzigzag(reader.varint());
  counter.cells.reserve(std::min(reader.rest().size() / cell_bytes_min, CounterState::cells_max));
  while (reader.ok() && !reader.empty()) {
    const CounterCell cell = decode_cell(reader, counter.base);
    const bool in_order = counter.cells.empty() || name_of(counter.cells.back()) < name_of(cell);
    if (!in_order || counter.cells.size() == CounterState::cells_max) reader.fail();
    counter.cells.push_back(cell);
  }
  if (!reader.ok()) return std::nullopt;
  return counter;
}

std::optional<Bytes> find_encoded(Bytes attributes) {
  ByteReader reader(attributes);
  while (reader.ok() && !reader.empty()) {
    const std::uint64_t id = reader.varint();
    const Bytes value = reader.bytes(attributes_bytes_max);
    if (reader.ok() && id == attribute_counter) return value;
  }
  return std::nullopt;
}

std::int64_t number_of(const RecordView& record) {
  std::int64_t number = 0;
  const char* const end = record.value.data() + record.value.size();
  const auto parsed = std::from_chars(record.value.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && !record.deleted ? number : 0;
}

// Whoever counts next counts on this write.
CounterState begun_on(const RecordView& record, bool visible) {
  return {.base = {.version = record.version, .deleted = !visible, .dot = record.dot},
          .start = visible ? number_of(record) : 0};
}

// A delete that lost to a later version and was carried over it: it is still that delete.
bool is_carried_delete(const CounterState& counter) {
  return counter.base.deleted && counter.cells.empty();
}

// A plain record is a counter on which nobody counted yet.
CounterState state_of(const RecordView& record) {
  if (auto counter = counter_of(record)) return *std::move(counter);
  return begun_on(record, !record.deleted);
}

// Only a folded cell covers others of its node, and never those of later starts.
void drop_covered(std::vector<CounterCell>& cells) {
  const auto is_folded = [](const CounterCell& cell) { return cell.from < cell.epoch; };
  if (std::ranges::none_of(cells, is_folded)) return;
  std::vector<CounterCell> kept;
  std::ranges::copy_if(cells, std::back_inserter(kept), [&cells](const CounterCell& cell) {
    return std::ranges::none_of(cells, [&](const CounterCell& other) {
      return other.node == cell.node && other.from <= cell.epoch && cell.epoch < other.epoch;
    });
  });
  cells = std::move(kept);
}

std::vector<CounterCell> united(const std::vector<CounterCell>& left,
                                const std::vector<CounterCell>& right) {
  std::vector<CounterCell> cells;
  cells.reserve(left.size() + right.size());
  auto one = left.begin();
  auto other = right.begin();
  while (one != left.end() && other != right.end()) {
    if (name_of(*one) == name_of(*other)) {
      const auto form = [](const CounterCell& cell) {
        return std::tuple(cell.last, cell.opened, cell.from, cell.sum);
      };
      cells.push_back(form(*one) < form(*other) ? *other : *one);
      ++one;
      ++other;
    } else {
      cells.push_back(name_of(*one) < name_of(*other) ? *one++ : *other++);
    }
  }
  cells.insert(cells.end(), one, left.end());
  cells.insert(cells.end(), other, right.end());
  drop_covered(cells);
  return cells;
}

CounterState joined(const CounterState& one, const CounterState& other, CounterMistake mistake) {
  const CounterState& greater = one.base < other.base ? other : one;
  CounterState lesser = one.base < other.base ? one : other;
  if (mistake != CounterMistake::any_base) {
    std::erase_if(lesser.cells, [&greater](const CounterCell& cell) {
      return cell.opened <= greater.base.version.hlc;
    });
  }
  return {
      .base = greater.base, .start = greater.start, .cells = united(greater.cells, lesser.cells)};
}

// The cell of this start of the node, made if it is not there. Cells of earlier starts are closed,
// as nobody will write them again: many of them become one. It is as old as the oldest of them, so
// that a base which replaced that one does not meet it again.
CounterCell& own_cell(std::vector<CounterCell>& cells, const Addition& addition) {
  const auto& [node, epoch, loop] = addition.origin;
  const CounterCell fresh{
      .node = node, .epoch = epoch, .from = epoch, .opened = addition.hlc, .last = addition.hlc};
  const auto place = std::ranges::lower_bound(cells, name_of(fresh), {}, name_of);
  if (place != cells.end() && name_of(*place) == name_of(fresh)) return *place;
  auto first = place;
  while (first != cells.begin() && std::prev(first)->node == node)
    --first;
  if (place - first < own_cells_max) return *cells.insert(place, fresh);
  const auto last = std::prev(place);  // The newest may still be on its way to others: it stays.
  CounterCell folded = *std::prev(last);
  for (auto cell = first; cell != std::prev(last); ++cell) {
    folded.from = std::min(folded.from, cell->from);
    folded.opened = std::min(folded.opened, cell->opened);
    if (__builtin_add_overflow(folded.sum, cell->sum, &folded.sum))
      return *cells.insert(place, fresh);
  }
  folded.last = addition.hlc;
  *std::prev(last) = folded;
  const auto behind = cells.erase(first, std::prev(last)) + 2;
  return *cells.insert(behind, fresh);
}

struct Pair {
  const RecordView& newer;
  const RecordView& older;
  CounterState of_newer;
  CounterState of_older;
};

Pair pair_of(const RecordView& held, const RecordView& comes) {
  const bool in_order = !newer(comes, held);
  Pair pair{.newer = in_order ? held : comes,
            .older = in_order ? comes : held,
            .of_newer = {},
            .of_older = {}};
  pair.of_newer = state_of(pair.newer);
  pair.of_older = state_of(pair.older);
  return pair;
}

bool may_be_counter(const RecordView& record) {
  return find_encoded(record.attributes).has_value();
}

}  // namespace

// The sum of many numbers may leave the range and come back: upper and lower halves are added
// apart.
std::int64_t CounterState::value() const {
  constexpr int half_bits = 32;
  constexpr std::int64_t low_half = (std::int64_t{1} << half_bits) - 1;
  std::int64_t high = start >> half_bits;
  std::int64_t low = start & low_half;
  for (const CounterCell& cell : cells) {
    high += cell.sum >> half_bits;
    low += cell.sum & low_half;
  }
  high += low >> half_bits;
  using Limits = std::numeric_limits<std::int64_t>;
  if (high > Limits::max() >> half_bits) return Limits::max();
  if (high < Limits::min() >> half_bits) return Limits::min();
  return high * (std::int64_t{1} << half_bits) + (low & low_half);
}

std::optional<CounterState> counter_of(const RecordView& record) {
  if (record.attributes.empty()) return std::nullopt;
  const auto encoded = find_encoded(record.attributes);
  if (!encoded) return std::nullopt;
  auto counter = decode(*encoded);
  if (!counter) return std::nullopt;
  // Nothing counts on what came after it, or later than itself: it would outlive every write.
  const auto is_later = [&record](const CounterCell& cell) {
    return cell.last > record.version.hlc;
  };
  if (counter->base.version >= record.version || std::ranges::any_of(counter->cells, is_later))
    return std::nullopt;
  // A version that knows nothing of counters changed the number and left the attribute.
  if (!record.deleted && record.value != std::to_string(counter->value())) return std::nullopt;
  return counter;
}

std::string count_on(const RecordView* held, bool visible, const Addition& addition,
                     Bytes attributes) {
  CounterState counter;
  if (held != nullptr) {
    auto known = counter_of(*held);
    // What a deadline ended is over; a new count begins on its end.
    const bool goes_on = known && (visible || (held->deleted && is_carried_delete(*known)));
    counter = goes_on ? *std::move(known) : begun_on(*held, visible);
  }
  CounterCell& cell = own_cell(counter.cells, addition);
  cell.last = addition.hlc;
  const bool fits = !__builtin_add_overflow(cell.sum, addition.more, &cell.sum) &&
                    counter.cells.size() <= CounterState::cells_max;
  if (fits) {
    std::string counted = with_attribute(attributes, attribute_counter, encode(counter));
    if (counted.size() <= attributes_bytes_max) return counted;
  }
  return without_counter(attributes);
}

std::string without_counter(Bytes attributes) {
  return without_attribute(attributes, attribute_counter);
}

bool must_join(const RecordView& held, const RecordView& comes, CounterMistake mistake) {
  if (held.attributes.empty() && comes.attributes.empty()) return false;
  if (mistake == CounterMistake::last_writer || held.dot == comes.dot) return false;
  if (held.damaged || comes.damaged || held.unread) return false;
  // No cell is later than its record: a plain record has nothing to learn from an older one.
  if (!may_be_counter(newer(comes, held) ? comes : held) && mistake != CounterMistake::any_base)
    return false;
  if (!may_be_counter(held) && !may_be_counter(comes)) return false;
  const Pair pair = pair_of(held, comes);
  return joined(pair.of_newer, pair.of_older, mistake) != pair.of_newer;
}

bool counts_all(const RecordView& winner, const RecordView& loser) {
  if (!may_be_counter(winner)) return false;
  const CounterState all = state_of(winner);
  const CounterState some = state_of(loser);
  return all.base == some.base && united(all.cells, some.cells) == all.cells;
}

JoinedRecord join(const RecordView& held, const RecordView& comes, CounterMistake mistake) {
  const Pair pair = pair_of(held, comes);
  const CounterState counter = joined(pair.of_newer, pair.of_older, mistake);
  // Whose deadline and content type are taken: those of a delete on which was counted are not.
  const bool newer_has_base = pair.of_newer.base == counter.base;
  const bool is_live_again =
      !counter.cells.empty() && is_carried_delete(newer_has_base ? pair.of_newer : pair.of_older);
  const RecordView& from = newer_has_base != is_live_again ? pair.newer : pair.older;

  JoinedRecord joined{.deleted = from.deleted, .deadline = from.deadline};
  if (!from.deleted)
    joined.value =
        counter.cells.empty() ? std::string(from.value) : std::to_string(counter.value());
  const std::string attributes = without_attribute(from.attributes, attribute_not_for_nkvd);
  joined.attributes = with_attribute(attributes, attribute_counter, encode(counter));
  if (counter.cells.size() > CounterState::cells_max ||
      joined.attributes.size() > attributes_bytes_max)
    joined.attributes = without_counter(attributes);
  return joined;
}

RecordView expired_of(const RecordView& record) {
  RecordView tombstone = tombstone_of(record);
  if (record.deleted || may_be_counter(record)) tombstone.attributes = record.attributes;
  return tombstone;
}

Record expired_of(const Record& record) {
  Record tombstone = tombstone_of(record);
  if (record.deleted || may_be_counter(view_of(record))) tombstone.attributes = record.attributes;
  return tombstone;
}

}  // namespace dhrt
