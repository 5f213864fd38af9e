// The known R1 files: src/store/catalog.json, embedded in the program, as a table; and which of
// them fits into how much memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

struct CatalogModel {
  std::string name;   // "r1:7b"
  std::string title;  // "DeepSeek-R1-Distill-Qwen-7B"
  std::string owner;  // of the hub's repository
  std::string repo;
  std::string type;                       // the default one: "q4_k_m"
  std::string file;                       // of that type
  std::string sha256;                     // of that file, hexadecimal; empty: the hub says it
  int64_t bytes = 0;                      // of that file; about, where the hub says it
  int64_t kv_bytes_per_token = 0;         // with f16 keys and values
  std::vector<std::string> ollama_names;  // what the same weights are called there

  // "r1:7b:q4_k_m".
  std::string full_name() const { return name + ":" + type; }
  // What it takes to answer with room for kSuggestedContext tokens: weights, cache, buffers.
  int64_t memory_bytes() const;
};

inline constexpr int64_t kSuggestedContext = 8192;

// Smallest first. Parsed once.
std::span<const CatalogModel> catalog();
// "r1:7b"; null when there is none.
const CatalogModel* find_in_catalog(std::string_view name);
// The largest whose memory_bytes() fit; null when none does.
const CatalogModel* suggest_model(int64_t available_bytes);

}  // namespace reckon
