// Models that other programs keep on this machine, used where they lie: Ollama's store, LM Studio's
// and the Hugging Face cache. Their folders are read, never written, and only files inside them are
// taken, wherever a link points.
#pragma once

#include <string>
#include <vector>

#include "store/model_store.h"

namespace reckon {

// Each adds what it finds; a folder that isn't there is nothing, what can't be used goes into
// problems.

// "ollama:deepseek-r1:7b": manifests/HOST/NAMESPACE/MODEL/TAG names blobs/sha256-….
void find_ollama_models(const std::string& folder, ModelStore::Listing& found);
// "lmstudio:publisher/repository/file.gguf".
void find_lm_studio_models(const std::string& folder, ModelStore::Listing& found);
// "hf:owner/repository/file.gguf": models--OWNER--REPOSITORY/snapshots/COMMIT/…, of the commit that
// refs/main names, or else the one there is.
void find_hub_cache_models(const std::string& folder, ModelStore::Listing& found);

}  // namespace reckon
