#include "storage/catalog.h"

#include <algorithm>
#include <utility>

#include "storage/base/codec.h"

namespace dhrt {

namespace {

constexpr std::uint8_t config_format = 1;
constexpr std::uint8_t flag_exists = 1;
constexpr std::uint8_t flag_memory = 2;
// `_sys` itself has no configuration; it is made with the node and never dropped.
constexpr std::uint32_t configurations_generation = 1;

// The generation is part of the key: the highest one is in force whatever the clocks of those
// who dropped and created said, and only within it does the later statement win.
std::string config_key(Bytes name, std::uint32_t generation) {
  return std::string(name) + "/" + std::to_string(generation);
}

Status check_name(Bytes name) {
  if (valid_collection_name(name)) return {};
  return fail(ErrorCode::invalid_argument,
              "'" + std::string(name.substr(0, collection_name_bytes_max)) +
                  "' is not a collection name; use 1 to 64 of A-Z a-z 0-9 . _ -, beginning with "
                  "a letter or digit");
}

Status check_mode(Bytes name, bool memory) {
  if (name == memory_collection && !memory)
    return fail(ErrorCode::invalid_argument,
                "the collection 'memory' is kept in memory, as its name says; choose another name");
  if (name == disk_collection && memory)
    return fail(ErrorCode::invalid_argument,
                "the collection 'hdd' is kept on disk, as its name says; choose another name");
  return {};
}

}  // namespace

std::string encode_config(const CollectionConfig& config) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(config_format);
  writer.u32(config.generation);
  writer.u8(static_cast<std::uint8_t>((config.exists ? flag_exists : 0) |
                                      (config.memory ? flag_memory : 0)));
  writer.u16(config.replicas);
  writer.u16(config.partitions);
  writer.u64(config.ttl_milliseconds);
  writer.u8(static_cast<std::uint8_t>(config.on_conflict));
  writer.u8(static_cast<std::uint8_t>(config.miss));
  return out;
}

Result<CollectionConfig> decode_config(Bytes encoded) {
  ByteReader reader(encoded);
  CollectionConfig config;
  const std::uint8_t format = reader.u8();
  config.generation = reader.u32();
  const std::uint8_t flags = reader.u8();
  config.exists = (flags & flag_exists) != 0;
  config.memory = (flags & flag_memory) != 0;
  config.replicas = reader.u16();
  config.partitions = reader.u16();
  config.ttl_milliseconds = reader.u64();
  const std::uint8_t on_conflict = reader.u8();
  const std::uint8_t miss = reader.u8();
  if (!reader.ok() || format != config_format || on_conflict > 1 || miss > 2)
    return fail(ErrorCode::corrupt, "a collection's configuration does not decode");
  config.on_conflict = static_cast<OnConflict>(on_conflict);
  config.miss = static_cast<MissPolicy>(miss);
  return config;
}

Status Catalog::load(WallMilliseconds now) {
  const bool memory = shared_->options.memory;
  auto opened =
      store_.open({.ref = {std::string(configuration_collection), configurations_generation},
                   .memory = memory});
  if (!opened) return tl::unexpected(opened.error());
  shared_->configurations = *opened;

  ScanRequest request{.from = {}, .prefix = {}, .with_values = true, .now = now, .limits = {}};
  for (;;) {
    auto slice = configurations().scan(request);
    if (!slice) return tl::unexpected(slice.error());
    // One that does not decode is held by nobody; another node brings it again.
    std::erase_if(slice->records, [](const KeyedRecord& entry) {
      return entry.record.damaged && entry.record.dot.sequence == 0;
    });
    if (auto status = refresh(slice->records); !status) return status;
    if (!slice->next) return end_unrecorded();
    request.from = *slice->next;
  }
}

// A life that was begun just before a power cut, which took what says so. It would refuse what
// peers tell of the life before it, which for them is not over.
Status Catalog::end_unrecorded() {
  const Changing changing(shared_->mutex);
  std::vector<CollectionRef> unrecorded;
  for (const Collection* collection : store_.collections()) {
    const CollectionRef& ref = collection->ref();
    const CollectionCounts counts = collection->counts();
    const bool is_empty = collection->seen().empty() && counts.live == 0 && counts.tombstones == 0;
    if (is_empty && !system_collection_name(ref.name) &&
        ref.generation > config(ref.name, changing).generation)
      unrecorded.push_back(ref);
  }
  for (const CollectionRef& ref : unrecorded) {
    if (auto status = store_.erase(ref.name); !status) return status;
    const auto known = shared_->configs.find(ref.name);
    if (known == shared_->configs.end()) continue;
    const CollectionConfig config = known->second;
    if (auto status = adopt(ref.name, config, changing); !status) return status;
  }
  return {};
}

// --- Looking up -----------------------------------------------------------------------------

CollectionConfig Catalog::config(Bytes name) const {
  const std::uint64_t version = shared_->version.load(std::memory_order_acquire);
  if (version != looked_up_version_) looked_up_.clear();
  looked_up_version_ = version;
  const auto known = looked_up_.find(name);
  if (known != looked_up_.end()) return known->second;

  CollectionConfig config = default_config(name);
  {
    const std::shared_lock lock(shared_->mutex);
    const auto found = shared_->configs.find(name);
    if (found == shared_->configs.end()) return config;
    config = found->second;
  }
  // At worst newer than `version`: then the next look finds another version and asks again.
  looked_up_.emplace(name, config);
  return config;
}

CollectionConfig Catalog::default_config(Bytes name) const {
  if (name == memory_collection) return {.memory = true};
  if (name == disk_collection) return {.memory = false};
  return {.memory = shared_->options.memory};
}

std::vector<std::string> Catalog::names() const {
  std::vector<std::string> names;
  for (const Collection* collection : store_.collections()) {
    if (!system_collection_name(collection->ref().name)) names.push_back(collection->ref().name);
  }
  return names;
}

// --- Changes by clients ---------------------------------------------------------------------

Result<Collection*> Catalog::find_or_create(Bytes name, WallMilliseconds now) {
  if (system_collection_name(name)) return create(name, {}, now);  // Is refused.
  if (Collection* collection = store_.find(name)) return collection;
  const Changing changing(shared_->mutex);
  // Another loop may have made it since.
  if (Collection* collection = store_.find(name)) return collection;
  return create(name, default_config(name), now, changing);
}

Result<Collection*> Catalog::create(Bytes name, CollectionConfig config, WallMilliseconds now) {
  return create(name, config, now, Changing(shared_->mutex));
}

Result<Collection*> Catalog::create(Bytes name, CollectionConfig config, WallMilliseconds now,
                                    const Changing& changing) {
  if (auto status = check_name(name); !status) return tl::unexpected(status.error());
  if (auto status = check_mode(name, config.memory); !status) return tl::unexpected(status.error());
  if (store_.find(name) != nullptr)
    return fail(ErrorCode::precondition, "collection '" + std::string(name) + "' exists already");
  const std::uint64_t collections_max = shared_->options.collections_max;
  if (store_.collection_count() > collections_max)
    return fail(ErrorCode::full, "the limit of " + std::to_string(collections_max) +
                                     " collections is reached; drop one, or raise "
                                     "--max-collections");
  // The number is kept: whoever dropped the last life of this collection has raised it.
  const auto found = shared_->configs.find(name);
  if (found != shared_->configs.end()) config.generation = found->second.generation;
  config.exists = true;
  return write_config(name, config, now, changing);
}

Status Catalog::drop(Bytes name, WallMilliseconds now) {
  if (auto status = check_name(name); !status) return status;
  if (name == default_collection)
    return fail(ErrorCode::invalid_argument,
                "the collection 'default' cannot be dropped; flush it instead");
  const Changing changing(shared_->mutex);
  const Collection* held = store_.find(name);
  if (held == nullptr)
    return fail(ErrorCode::not_found, "there is no collection '" + std::string(name) + "'");
  CollectionConfig config = this->config(name, changing);
  config.generation = held->ref().generation + 1;
  config.exists = false;
  if (auto collection = write_config(name, config, now, changing); !collection)
    return tl::unexpected(collection.error());
  return {};
}

Result<Collection*> Catalog::write_config(Bytes name, const CollectionConfig& config,
                                          WallMilliseconds now, const Changing& changing) {
  std::string key = config_key(name, config.generation);
  const std::string value = encode_config(config);
  const WriteRequest request{.key = key, .value = value};
  auto written = writer_.write(configurations(), request, now);
  if (!written) return tl::unexpected(written.error());
  written_.push_back({written->position, {std::move(key), record_of(request, *written)}});
  if (auto status = adopt(std::string(name), config, changing); !status)
    return tl::unexpected(status.error());
  return store_.find(name);
}

// --- Changes by peers -----------------------------------------------------------------------

Status Catalog::refresh(const std::vector<KeyedRecord>& configurations) {
  return refresh(configurations, Changing(shared_->mutex));
}

Status Catalog::refresh(const std::vector<KeyedRecord>& configurations, const Changing& changing) {
  for (const KeyedRecord& entry : configurations) {
    // What is stored decides, not what was sent: the message may have lost.
    auto held = this->configurations().find(entry.key);
    if (!held) return tl::unexpected(held.error());
    if (!held->has_value() || (*held)->deleted) continue;
    auto config = decode_config((*held)->value);
    if (!config) return tl::unexpected(config.error());
    const std::string name = entry.key.substr(0, entry.key.find('/'));
    if (!valid_collection_name(name) || config_key(name, config->generation) != entry.key)
      return fail(ErrorCode::corrupt, "the configuration '" + entry.key + "' names another");
    if (auto status = adopt(name, *config, changing); !status) return status;
  }
  return {};
}

Result<Collection*> Catalog::for_peer(const CollectionRef& ref) {
  Collection* held = store_.find(ref.name);
  if (held != nullptr && held->ref().generation == ref.generation) return held;
  if (held != nullptr && held->ref().generation > ref.generation) return nullptr;
  const bool known_name = valid_collection_name(ref.name) || ref.name == configuration_collection;
  if (!known_name || ref.generation == 0) return nullptr;
  const Changing changing(shared_->mutex);
  // Another loop may have made or dropped it since.
  held = store_.find(ref.name);
  if (held != nullptr && held->ref().generation == ref.generation) return held;
  const CollectionConfig known = config(ref.name, changing);
  const bool over = held != nullptr && held->ref().generation > ref.generation;
  if (over || known.generation > ref.generation) return nullptr;
  return open(ref, known.memory, changing);
}

// --- Both -----------------------------------------------------------------------------------

CollectionConfig Catalog::config(Bytes name, const Changing& /*changing*/) const {
  const auto found = shared_->configs.find(name);
  if (found != shared_->configs.end()) return found->second;
  return default_config(name);
}

Status Catalog::adopt(const std::string& name, const CollectionConfig& config,
                      const Changing& changing) {
  const auto known = shared_->configs.find(name);
  if (known != shared_->configs.end() && known->second.generation > config.generation) return {};
  shared_->configs[name] = config;
  shared_->version.fetch_add(1, std::memory_order_release);
  const Collection* held = store_.find(name);
  const bool in_force = held != nullptr && held->ref().generation >= config.generation;
  // Data of this life keeps the collection, whoever won between its drop and its making.
  if (in_force && (config.exists || !held->seen().empty())) return {};
  if (config.exists) {
    const auto opened = open({name, config.generation}, config.memory, changing);
    return opened ? Status{} : tl::unexpected(opened.error());
  }
  if (held != nullptr) shared_->gone.push_back(held->ref());
  return store_.erase(name);
}

Result<Collection*> Catalog::open(const CollectionRef& ref, bool memory,
                                  const Changing& /*changing*/) {
  if (const Collection* held = store_.find(ref.name)) shared_->gone.push_back(held->ref());
  return store_.open({.ref = ref, .memory = memory || shared_->options.memory});
}

// --- For the core ---------------------------------------------------------------------------

std::vector<Catalog::WrittenConfig> Catalog::take_written() {
  return std::exchange(written_, {});
}

std::vector<CollectionRef> Catalog::take_gone() {
  const std::unique_lock lock(shared_->mutex);
  return std::exchange(shared_->gone, {});
}

}  // namespace dhrt
