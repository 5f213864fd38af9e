// The store as the commands use it: names become paths, and long jobs show how far they are.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/model_store.h"

namespace reckon::cli {

// The store of this user, by the environment.
Result<ModelStore> open_store();

// What -m or an argument names -> a file's path. json: the caller prints JSON.
Result<std::string> resolve_model(std::string_view name_or_path, bool json);

// ModelStore::pull() with a progress bar; Ctrl-C ends it.
Result<StoredModel> pull_with_progress(ModelStore& store, std::string_view text, bool json);
Status verify_with_progress(const ModelStore& store, const std::string& name, bool json);

}  // namespace reckon::cli
