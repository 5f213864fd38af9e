// The JSON texts of a Hugging Face folder, one after the other with NULs between: config.json,
// tokenizer.json, tokenizer_config.json.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/convert_config.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace {

// What stands before the next NUL, which is dropped with it.
std::string_view take(std::string_view& text) {
  const size_t end = text.find('\0');
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return part;
}

void check_config(std::string_view text) {
  const auto config = reckon::read_hf_config(text, "config.json");
  if (!config.ok()) return;
  if (config->llama3_rope && config->head_dim < 4096) (void)reckon::llama3_divisors(*config);
  // What was understood is written in a form that is understood alike.
  const std::string written = reckon::hf_config_json(*config, reckon::TensorType::kBF16);
  const auto again = reckon::read_hf_config(written, "written");
  if (!again.ok()) return;  // numbers beyond single precision
  RECKON_CHECK(again->head_dim == config->head_dim);
  RECKON_CHECK(again->n_kv_heads == config->n_kv_heads);
  RECKON_CHECK(again->tied_embedding == config->tied_embedding);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  check_config(take(text));
  const std::string_view tokenizer = take(text);
  auto spec = reckon::parse_tokenizer_json(tokenizer, take(text), 300);
  if (spec.ok()) (void)reckon::Tokenizer::create(std::move(*spec));
  return 0;
}
