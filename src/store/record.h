// The record of one model in the store: model.json in the model's folder. Written atomically, read
// as strictly as anything from outside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/folder.h"
#include "store/model_store.h"

namespace reckon {

struct ModelRecord {
  std::vector<std::string> names;             // never empty
  ModelOrigin origin = ModelOrigin::kPulled;  // kPulled or kLocalFile
  std::string source;
  std::vector<ModelFile> files;  // paths absolute
  int64_t pulled_at_s = 0;

  StoredModel under(const std::string& name) const;
};

// In the store itself there are no links; elsewhere people may keep their files as they like.
inline Links links_of(ModelOrigin origin) {
  return origin == ModelOrigin::kPulled ? Links::kRefuse : Links::kFollow;
}

inline constexpr const char* kRecordName = "model.json";

// The folder of a source inside the store: readable, and unique by a piece of its SHA-256.
std::string folder_name_of(std::string_view source);

// folder: the model's own, absolute. Errors: kBadFile for a record that isn't wholly right.
Result<ModelRecord> read_record(const std::string& folder);
Status write_record(const std::string& folder, const ModelRecord& record);

}  // namespace reckon
