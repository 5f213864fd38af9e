// tokenizer.ggml.* of a model file -> TokenizerSpec. Keys that would change the tokens and aren't
// understood are errors; scores and the like are not read.
#include <array>

#include "base/json.h"
#include "gguf/gguf_file.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key_of(std::string_view name) { return std::string(kPrefix) + std::string(name); }

Error bad_key(const GgufFile& file, std::string_view name, const std::string& what) {
  return bad_file(file.path() + ": " + key_of(name) + ": " + what);
}

Result<std::vector<std::string>> read_strings(const GgufFile& file, std::string_view name) {
  RECKON_ASSIGN(const GgufArray* array, file.get_array(key_of(name), GgufValueType::kString));
  if (array == nullptr)
    return bad_key(file, name, "expected an array of strings, found no such key");
  return std::vector<std::string>(array->strings.begin(), array->strings.end());
}

Result<std::vector<TokenKind>> read_kinds(const GgufFile& file, size_t n_tokens) {
  constexpr std::string_view kName = "token_type";
  RECKON_ASSIGN(const GgufArray* array, file.get_array(key_of(kName), GgufValueType::kInt32));
  if (array == nullptr) return std::vector<TokenKind>(n_tokens, TokenKind::kNormal);
  if (array->count != n_tokens) {
    return bad_key(file, kName,
                   "expected as many elements as there are tokens, " + std::to_string(n_tokens) +
                       ", found " + std::to_string(array->count));
  }
  std::vector<TokenKind> kinds(n_tokens);
  for (size_t i = 0; i < n_tokens; ++i) {
    const int64_t value = array->int_at(i);
    if (value < static_cast<int>(TokenKind::kNormal) ||
        value > static_cast<int>(TokenKind::kByte)) {
      return bad_key(
          file, kName,
          "element " + std::to_string(i) + ": expected 1 to 6, found " + std::to_string(value));
    }
    kinds[i] = static_cast<TokenKind>(value);
  }
  return kinds;
}

Result<TokenId> read_id(const GgufFile& file, std::string_view name, size_t n_tokens) {
  RECKON_ASSIGN(const std::optional<uint64_t> id, file.get_uint(key_of(name)));
  if (!id) return kNoToken;
  if (*id >= n_tokens) {
    return bad_key(
        file, name,
        "expected 0 to " + std::to_string(n_tokens - 1) + ", found " + std::to_string(*id));
  }
  return static_cast<TokenId>(*id);
}

Result<bool> read_bool(const GgufFile& file, std::string_view name, bool otherwise) {
  RECKON_ASSIGN(const std::optional<bool> value, file.get_bool(key_of(name)));
  return value.value_or(otherwise);
}

Result<TokenizerSpec> read_spec(const GgufFile& file) {
  RECKON_ASSIGN(const std::string_view model, file.require_string(key_of("model")));
  if (model != "gpt2") {
    return bad_key(file, "model", "expected \"gpt2\" (byte-level BPE), found " + excerpt(model));
  }
  TokenizerSpec spec;
  RECKON_ASSIGN(spec.pre_tokenizer, file.require_string(key_of("pre")));
  RECKON_ASSIGN(spec.tokens, read_strings(file, "tokens"));
  if (spec.tokens.empty()) return bad_key(file, "tokens", "expected at least one, found none");
  RECKON_ASSIGN(spec.kinds, read_kinds(file, spec.tokens.size()));
  RECKON_ASSIGN(spec.merges, read_strings(file, "merges"));
  RECKON_ASSIGN(spec.bos, read_id(file, "bos_token_id", spec.tokens.size()));
  RECKON_ASSIGN(spec.eos, read_id(file, "eos_token_id", spec.tokens.size()));
  RECKON_ASSIGN(spec.eot, read_id(file, "eot_token_id", spec.tokens.size()));
  RECKON_ASSIGN(spec.padding, read_id(file, "padding_token_id", spec.tokens.size()));
  const PreTokenizer* pre = find_pre_tokenizer(spec.pre_tokenizer);
  const bool bos_by_default = pre != nullptr && pre->add_bos && spec.bos != kNoToken;
  RECKON_ASSIGN(spec.add_bos, read_bool(file, "add_bos_token", bos_by_default));
  RECKON_ASSIGN(spec.add_eos, read_bool(file, "add_eos_token", false));
  RECKON_ASSIGN(const bool add_space, read_bool(file, "add_space_prefix", false));
  if (add_space) return bad_key(file, "add_space_prefix", "expected false, found true");
  return spec;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const GgufFile& file) {
  RECKON_ASSIGN(TokenizerSpec spec, read_spec(file));
  auto tokenizer = create(std::move(spec));
  if (tokenizer.ok()) return tokenizer;
  return Error{tokenizer.error().kind, file.path() + ": tokenizer: " + tokenizer.error().message};
}

}  // namespace reckon
