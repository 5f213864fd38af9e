// config.json <-> what GGUF's metadata says about the arithmetic.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "model/config.h"
#include "model/model.h"
#include "quants/tensor_type.h"

namespace reckon {

// Fields of a JSON object by name, with errors that name the text and the field. A null counts as
// absent, as in transformers.
class JsonFields {
 public:
  // object and what must outlive this.
  JsonFields(const boost::json::object& object, std::string_view what)
      : object_(object), what_(what) {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Null when absent.
  const boost::json::value* find(std::string_view key) const;
  Result<std::optional<int64_t>> integer(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> required_integer(std::string_view key, int64_t min, int64_t max) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<double> required_number(std::string_view key) const;
  Result<bool> flag(std::string_view key, bool otherwise) const;
  Result<std::optional<std::string>> text(std::string_view key) const;
  Error wrong(std::string_view key, std::string_view expected) const;

 private:
  const boost::json::object& object_;
  std::string_view what_;
};

// The scaling of Llama 3.1 and later: wavelengths over original_context / low_freq_factor are
// stretched by factor, those under original_context / high_freq_factor kept, the rest between.
struct Llama3Rope {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_context = 8192;

  bool operator==(const Llama3Rope&) const = default;
};

struct HfConfig {
  Architecture architecture = Architecture::kLlama;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t ffn_dim = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  double rope_theta = 10000.0;
  double rms_epsilon = 0;
  bool tied_embedding = false;
  std::optional<Llama3Rope> llama3_rope;
  // Where tokenizer_config.json says nothing.
  std::optional<int64_t> bos;
  std::optional<int64_t> eos;
  std::optional<int64_t> padding;
};

// what names the text in errors. Errors: kBadFile for a field that is missing, malformed, or has a
// value that changes the arithmetic in a way reckon doesn't know.
Result<HfConfig> read_hf_config(std::string_view json, std::string_view what);
// From a model file that reckon can load. Errors: kBadFile for what config.json can't express.
Result<HfConfig> hf_config_of(const GgufFile& file);

void add_config(const HfConfig& config, GgufWriter& writer);
// dtype: what transformers should load the weights as.
std::string hf_config_json(const HfConfig& config, TensorType dtype);

// The number that was meant by a float32 of GGUF: 1e-6, not 9.999999974752427e-07.
double shortest_double(double value);

// The divisor of each rotary pair's frequency, [head_dim / 2]: GGUF's rope_freqs.weight.
std::vector<float> llama3_divisors(const HfConfig& config);

}  // namespace reckon
