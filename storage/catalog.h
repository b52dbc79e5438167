// Which collections there are, and how each is set up: the records of `_sys` as one table.
//
// A collection's configuration is a record like any other, keyed by name and generation
// ("users/3"), so it is replicated and merged by the rules that already hold; the highest
// generation is in force. A collection exists if its
// configuration says so or if there is data of its current generation: a concurrent drop can
// hide no acknowledged write.
//
// Several event loops: each has a Catalog of its own, through which it writes with its own store
// and writer; what they know is shared. Whoever makes or drops a collection does so alone.
//
// Threads: a Catalog belongs to the thread of its store. Looking things up takes no lock as long
// as no configuration changes anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "storage/base/result.h"
#include "storage/store.h"
#include "storage/writer.h"

namespace dhrt {

enum class OnConflict : std::uint8_t { last = 0, keep = 1 };
enum class MissPolicy : std::uint8_t { fanout = 0, automatic = 1, local = 2 };

struct CollectionConfig {
  std::uint32_t generation = 1;
  bool exists = true;
  bool memory = false;
  std::uint16_t replicas = 0;  // 0 = all nodes.
  std::uint16_t partitions = 1;
  std::uint64_t ttl_milliseconds = 0;  // For writes that name none; 0 = none.
  OnConflict on_conflict = OnConflict::last;
  MissPolicy miss = MissPolicy::fanout;

  bool operator==(const CollectionConfig&) const = default;
};

// config := format u8 (= 1), generation u32, flags u8 (1 exists, 2 memory), replicas u16,
//           partitions u16, ttl u64, on_conflict u8, miss u8, then fields of later versions
std::string encode_config(const CollectionConfig& config);
Result<CollectionConfig> decode_config(Bytes encoded);

struct CatalogOptions {
  bool memory = false;                    // Collections made without saying how: memory mode.
  std::uint64_t collections_max = 10000;  // --max-collections; each costs a file and a map.
};

// Two names say by themselves where their records are kept, whatever the node's default is.
inline constexpr Bytes memory_collection = "memory";
inline constexpr Bytes disk_collection = "hdd";

class Catalog {
 public:
  // `store` and `writer` outlive the catalog.
  Catalog(Store& store, RecordWriter& writer, const CatalogOptions& options)
      : store_(store), writer_(writer), shared_(std::make_shared<Shared>()) {
    shared_->options = options;
  }
  // For another loop: `store` shows the same collections as that of `first`, which is loaded.
  Catalog(Store& store, RecordWriter& writer, const Catalog& first)
      : store_(store), writer_(writer), shared_(first.shared_) {}

  // Opens `_sys` and every collection that it names. Call once, first.
  Status load(WallMilliseconds now);

  // Null if there is no such collection.
  Collection* find(Bytes name) { return store_.find(name); }
  // Makes the collection with the node's defaults if it does not exist. The configuration
  // written then is to be sent to the peers: see take_written().
  Result<Collection*> find_or_create(Bytes name, WallMilliseconds now);
  // precondition: it exists already. invalid_argument: its name says otherwise where it is kept.
  Result<Collection*> create(Bytes name, CollectionConfig config, WallMilliseconds now);
  // not_found: there is no such collection. `_sys` and `default` cannot be dropped.
  Status drop(Bytes name, WallMilliseconds now);

  // The collection that a peer's message is about. Null: the message is about a life of it
  // that is over. A later life than ours ends ours.
  Result<Collection*> for_peer(const CollectionRef& ref);
  // Call when records of `_sys` came from a peer: makes and drops collections accordingly.
  Status refresh(const std::vector<KeyedRecord>& configurations);

  Collection& configurations() { return *shared_->configurations; }
  // The configuration in force; the default one if none was written.
  CollectionConfig config(Bytes name) const;
  // Of a collection that is made without a word about it.
  CollectionConfig default_config(Bytes name) const;
  // Names that a client may see, in order.
  std::vector<std::string> names() const;

  // Configuration records written through this catalog since the last call, to be broadcast.
  struct WrittenConfig {
    Position position = 0;
    KeyedRecord record;
  };
  std::vector<WrittenConfig> take_written();
  // Collections, or lives of them, that any loop ended since the last call on any.
  std::vector<CollectionRef> take_gone();

 private:
  using Configs = std::map<std::string, CollectionConfig, std::less<>>;
  // What all loops know. Changes are made by one loop at a time.
  struct Shared {
    CatalogOptions options;
    Collection* configurations = nullptr;  // Never erased.
    std::shared_mutex mutex;
    Configs configs;
    std::vector<CollectionRef> gone;
    std::atomic<std::uint64_t> version{1};  // Of `configs`; raised after each change.
  };
  using Changing = std::unique_lock<std::shared_mutex>;

  // Those that take `Changing` are called by whoever holds the mutex for a change.
  Result<Collection*> create(Bytes name, CollectionConfig config, WallMilliseconds now,
                             const Changing& changing);
  Result<Collection*> write_config(Bytes name, const CollectionConfig& config, WallMilliseconds now,
                                   const Changing& changing);
  Status refresh(const std::vector<KeyedRecord>& configurations, const Changing& changing);
  Status end_unrecorded();
  Status adopt(const std::string& name, const CollectionConfig& config, const Changing& changing);
  Result<Collection*> open(const CollectionRef& ref, bool memory, const Changing& changing);
  CollectionConfig config(Bytes name, const Changing& changing) const;

  Store& store_;
  RecordWriter& writer_;
  std::shared_ptr<Shared> shared_;
  std::vector<WrittenConfig> written_;
  // Configurations that this loop looked up, as of `looked_up_version_`.
  mutable Configs looked_up_;
  mutable std::uint64_t looked_up_version_ = 0;
};

}  // namespace dhrt
