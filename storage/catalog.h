// Which collections there are, and how each is set up: the records of `_sys` as one table.
//
// A collection's configuration is a record like any other, keyed by name and generation
// ("users/3"), so it is replicated and merged by the rules that already hold; the highest
// generation is in force. A collection exists if its
// configuration says so or if there is data of its current generation: a concurrent drop can
// hide no acknowledged write.
//
// Threads: those of the store.
#pragma once

#include <cstdint>
#include <map>
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

class Catalog {
 public:
  // `store` and `writer` outlive the catalog.
  Catalog(Store& store, RecordWriter& writer, const CatalogOptions& options)
      : store_(store), writer_(writer), options_(options) {}

  // Opens `_sys` and every collection that it names. Call once, first.
  Status load(WallMilliseconds now);

  // Null if there is no such collection.
  Collection* find(Bytes name) { return store_.find(name); }
  // Makes the collection with the node's defaults if it does not exist. The configuration
  // written then is to be sent to the peers: see take_written().
  Result<Collection*> find_or_create(Bytes name, WallMilliseconds now);
  // precondition: it exists already.
  Result<Collection*> create(Bytes name, CollectionConfig config, WallMilliseconds now);
  // not_found: there is no such collection. `_sys` and `default` cannot be dropped.
  Status drop(Bytes name, WallMilliseconds now);

  // The collection that a peer's message is about. Null: the message is about a life of it
  // that is over. A later life than ours ends ours.
  Result<Collection*> for_peer(const CollectionRef& ref);
  // Call when records of `_sys` came from a peer: makes and drops collections accordingly.
  Status refresh(const std::vector<KeyedRecord>& configurations);

  Collection& configurations() { return *configurations_; }
  // The configuration in force; the default one if none was written.
  CollectionConfig config(Bytes name) const;
  // Names that a client may see, in order.
  std::vector<std::string> names() const;

  // Configuration records that were written here since the last call, to be broadcast.
  struct WrittenConfig {
    Position position = 0;
    KeyedRecord record;
  };
  std::vector<WrittenConfig> take_written();
  // Collections, or lives of them, that ended since the last call.
  std::vector<CollectionRef> take_gone();

 private:
  Result<Collection*> write_config(Bytes name, const CollectionConfig& config,
                                   WallMilliseconds now);
  Status adopt(const std::string& name, const CollectionConfig& config);
  Result<Collection*> open(const CollectionRef& ref, bool memory);

  Store& store_;
  RecordWriter& writer_;
  CatalogOptions options_;
  Collection* configurations_ = nullptr;
  std::map<std::string, CollectionConfig, std::less<>> configs_;
  std::vector<WrittenConfig> written_;
  std::vector<CollectionRef> gone_;
};

}  // namespace dhrt
