#include "storage/collection_table.h"

namespace dhrt {

Result<OpenAs> judge_open(const Collection* held, const CollectionRef& ref) {
  if (!valid_collection_name(ref.name) && !system_collection_name(ref.name))
    return fail(ErrorCode::invalid_argument,
                "'" + ref.name.substr(0, collection_name_bytes_max) +
                    "' is not a collection name; use 1 to 64 of A-Z a-z 0-9 . _ -");
  if (held == nullptr || held->ref().generation < ref.generation) return OpenAs::fresh;
  if (held->ref().generation == ref.generation) return OpenAs::held;
  return fail(ErrorCode::precondition, "collection '" + ref.name + "' was opened with generation " +
                                           std::to_string(ref.generation) + ", but generation " +
                                           std::to_string(held->ref().generation) +
                                           " is held; the older one is over");
}

}  // namespace dhrt
