// tokenizer.json's model, added tokens, pre-tokenizer, normaliser and post-processor are read for
// what byte-level BPE needs; a setting that changes tokens and that GGUF can't say is an error.
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/pre_tokenizer_patterns.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::string_view kConfigFile = "tokenizer_config.json";

// More than any vocabulary has.
constexpr int64_t kMaxTokens = int64_t{1} << 24;

Error bad_field(std::string_view file, std::string_view field, std::string_view what) {
  std::string message(file);
  message.append(": ").append(field).append(": ").append(what);
  return bad_file(message);
}

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

// A member, or null where it's absent or null.
const json::value* member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string_view text_of(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value != nullptr && value->is_string() ? view(value->get_string()) : std::string_view();
}

bool is_true(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

bool is_false(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value != nullptr && value->is_bool() && !value->get_bool();
}

// The tokens by id; ids that nothing claims stay empty.
class TokenTable {
 public:
  // Ids leave few gaps, so n_entries bounds them: a single large id must not make a table of its
  // size.
  explicit TokenTable(size_t n_entries) : end_(2 * static_cast<int64_t>(n_entries) + 1024) {}

  Result<int64_t> id_of(const json::value* value, std::string_view field) const {
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0 ||
        value->get_int64() >= end_) {
      return bad_field(kFile, field, "expected an id from 0 to " + std::to_string(end_ - 1));
    }
    return value->get_int64();
  }

  // An added token may repeat one of the model's vocabulary with the same id.
  Status set(int64_t id, std::string_view text, TokenKind kind) {
    const auto index = static_cast<size_t>(id);
    if (index >= tokens_.size()) {
      tokens_.resize(index + 1);
      kinds_.resize(index + 1, TokenKind::kUnused);
    }
    if (kinds_[index] != TokenKind::kUnused && tokens_[index] != text) {
      return bad_field(kFile, excerpt(text),
                       "has id " + std::to_string(id) + " of " + excerpt(tokens_[index]) + " too");
    }
    tokens_[index] = text;
    kinds_[index] = kind;
    return {};
  }

  // Fills the gaps and, where n_tokens isn't 0, the rest up to it.
  Status finish(int64_t n_tokens, TokenizerSpec& spec) {
    const auto wanted = static_cast<size_t>(n_tokens);
    if (n_tokens != 0 && wanted < tokens_.size()) {
      return bad_field(kFile, "vocabulary",
                       "expected at most " + std::to_string(n_tokens) +
                           " ids as the model's embedding has rows, found " +
                           std::to_string(tokens_.size()));
    }
    tokens_.resize(std::max(tokens_.size(), wanted));
    kinds_.resize(tokens_.size(), TokenKind::kUnused);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (kinds_[i] == TokenKind::kUnused) tokens_[i] = "[PAD" + std::to_string(i) + "]";
    }
    spec.tokens = std::move(tokens_);
    spec.kinds = std::move(kinds_);
    return {};
  }

 private:
  int64_t end_;
  std::vector<std::string> tokens_;
  std::vector<TokenKind> kinds_;
};

size_t n_entries(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  if (value == nullptr) return 0;
  if (value->is_object()) return value->get_object().size();
  return value->is_array() ? value->get_array().size() : 0;
}

Status read_vocabulary(const json::object& model, TokenTable& table) {
  const json::value* vocab = member(model, "vocab");
  if (vocab == nullptr || !vocab->is_object()) {
    return bad_field(kFile, "model.vocab", "expected an object");
  }
  for (const auto& [key, value] : vocab->get_object()) {
    const std::string_view text(key.data(), key.size());
    RECKON_ASSIGN(const int64_t id, table.id_of(&value, "model.vocab: " + excerpt(text)));
    RECKON_RETURN_IF_ERROR(table.set(id, text, TokenKind::kNormal));
  }
  return {};
}

// "a b", or the newer form ["a", "b"].
Status read_merges(const json::object& model, std::vector<std::string>& merges) {
  const json::value* list = member(model, "merges");
  if (list == nullptr || !list->is_array()) {
    return bad_field(kFile, "model.merges", "expected an array");
  }
  for (const json::value& item : list->get_array()) {
    if (item.is_string()) {
      merges.emplace_back(view(item.get_string()));
      continue;
    }
    const json::array* pair = item.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() ||
        !(*pair)[1].is_string()) {
      return bad_field(kFile, "model.merges",
                       "element " + std::to_string(merges.size()) + ": expected a pair of tokens");
    }
    merges.emplace_back(view((*pair)[0].get_string()))
        .append(" ")
        .append(view((*pair)[1].get_string()));
  }
  return {};
}

Status check_model(const json::object& model) {
  if (text_of(model, "type") != "BPE") {
    return bad_field(kFile, "model.type",
                     "expected \"BPE\", found " + excerpt(text_of(model, "type")));
  }
  for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_of(model, name).empty()) {
      return bad_field(kFile, "model." + std::string(name), "expected none");
    }
  }
  for (const std::string_view name : {"dropout", "unk_token"}) {
    if (member(model, name) != nullptr) {
      return bad_field(kFile, "model." + std::string(name), "expected null");
    }
  }
  if (is_true(model, "byte_fallback")) {
    return bad_field(kFile, "model.byte_fallback", "expected false");
  }
  return {};
}

// Spellings that are control tokens whether a file's flag says so or not, as GGUF files have them:
// DeepSeek's tokenizer.json has <｜User｜> without the flag.
bool looks_special(std::string_view text) {
  return (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<｜") && text.ends_with("｜>"));
}

Status read_added_tokens(const json::object& root, TokenTable& table) {
  const json::value* list = member(root, "added_tokens");
  if (list == nullptr) return {};
  if (!list->is_array()) return bad_field(kFile, "added_tokens", "expected an array");
  for (const json::value& item : list->get_array()) {
    if (!item.is_object()) return bad_field(kFile, "added_tokens", "expected objects");
    const json::object& token = item.get_object();
    const std::string_view text = text_of(token, "content");
    const std::string name = "added_tokens: " + excerpt(text);
    RECKON_ASSIGN(const int64_t id, table.id_of(member(token, "id"), name));
    for (const std::string_view option : {"lstrip", "rstrip", "single_word"}) {
      if (is_true(token, option)) return bad_field(kFile, name, std::string(option) + " is set");
    }
    const bool special = is_true(token, "special") || looks_special(text);
    RECKON_RETURN_IF_ERROR(
        table.set(id, text, special ? TokenKind::kControl : TokenKind::kUserDefined));
  }
  return {};
}

// The parts of a pre-tokenizer or normaliser: itself, or a Sequence's members.
std::vector<const json::object*> parts_of(const json::value* value, std::string_view list_name) {
  std::vector<const json::object*> parts;
  if (value == nullptr || !value->is_object()) return parts;
  const json::object& object = value->get_object();
  if (text_of(object, "type") != "Sequence") return {&object};
  const json::value* list = member(object, list_name);
  if (list == nullptr || !list->is_array()) return parts;
  for (const json::value& item : list->get_array()) {
    if (item.is_object()) parts.push_back(&item.get_object());
  }
  return parts;
}

// The regular expression of a Split that isolates its matches, else empty.
std::string_view split_pattern(const json::object& part) {
  if (text_of(part, "type") != "Split" || text_of(part, "behavior") != "Isolated" ||
      is_true(part, "invert")) {
    return {};
  }
  const json::value* pattern = member(part, "pattern");
  return pattern != nullptr && pattern->is_object() ? text_of(pattern->get_object(), "Regex")
                                                    : std::string_view();
}

bool is_byte_level(const json::object& part, bool with_regex) {
  const bool uses_regex = !is_false(part, "use_regex");
  return text_of(part, "type") == "ByteLevel" && !is_true(part, "add_prefix_space") &&
         uses_regex == with_regex;
}

enum class Normaliser { kNone, kNfc };

Result<Normaliser> read_normaliser(const json::object& root) {
  const json::value* value = member(root, "normalizer");
  if (value == nullptr) return Normaliser::kNone;
  Normaliser normaliser = Normaliser::kNone;
  const json::object* object = value->if_object();
  const bool empty_sequence = object != nullptr && text_of(*object, "type") == "Sequence" &&
                              member(*object, "normalizers") != nullptr &&
                              member(*object, "normalizers")->is_array() &&
                              member(*object, "normalizers")->get_array().empty();
  if (empty_sequence) return normaliser;
  for (const json::object* part : parts_of(value, "normalizers")) {
    if (text_of(*part, "type") != "NFC") {
      return bad_field(kFile, "normalizer",
                       "expected NFC or none, found " + excerpt(text_of(*part, "type")));
    }
    normaliser = Normaliser::kNfc;
  }
  if (normaliser == Normaliser::kNone) return bad_field(kFile, "normalizer", "not understood");
  return normaliser;
}

// The GGUF name of the pre-tokenizer, by its structure.
Result<std::string> recognise_pre_tokenizer(const json::object& root, bool adds_bos) {
  const auto parts = parts_of(member(root, "pre_tokenizer"), "pretokenizers");
  RECKON_ASSIGN(const Normaliser normaliser, read_normaliser(root));
  const auto named = [&](std::string_view name, Normaliser expected) -> Result<std::string> {
    if (normaliser == expected) return std::string(name);
    return bad_field(kFile, "normalizer",
                     "the pre-tokenizer is that of " + std::string(name) + ", which goes with " +
                         (expected == Normaliser::kNfc ? "NFC" : "no normaliser"));
  };
  if (parts.size() == 1 && is_byte_level(*parts[0], true)) return named("gpt-2", Normaliser::kNone);
  if (parts.size() == 2 && text_of(*parts[0], "type") == "Digits" &&
      is_true(*parts[0], "individual_digits") && is_byte_level(*parts[1], true)) {
    return named("smollm", Normaliser::kNone);
  }
  if (parts.size() == 2 && is_byte_level(*parts[1], false)) {
    const std::string_view pattern = split_pattern(*parts[0]);
    if (pattern == kLlama3Pattern) return named("llama-bpe", Normaliser::kNone);
    if (pattern == kQwenPattern) {
      return named(adds_bos ? "deepseek-r1-qwen" : "qwen2", Normaliser::kNfc);
    }
  }
  if (parts.size() == 4 && split_pattern(*parts[0]) == kDeepSeekPattern1 &&
      split_pattern(*parts[1]) == kDeepSeekPattern2 &&
      split_pattern(*parts[2]) == kDeepSeekPattern3 && is_byte_level(*parts[3], false)) {
    return named("deepseek-v3", Normaliser::kNone);
  }
  return bad_field(kFile, "pre_tokenizer",
                   "not one of those of deepseek-r1-qwen, qwen2, llama-bpe, deepseek-v3, smollm, "
                   "gpt-2");
}

// The special token that a TemplateProcessing post-processor puts before the text, or empty.
std::string_view leading_token(const json::object& root) {
  for (const json::object* part : parts_of(member(root, "post_processor"), "processors")) {
    if (text_of(*part, "type") != "TemplateProcessing") continue;
    const json::value* single = member(*part, "single");
    if (single == nullptr || !single->is_array() || single->get_array().empty()) continue;
    const json::object* first = single->get_array()[0].if_object();
    const json::value* special = first == nullptr ? nullptr : member(*first, "SpecialToken");
    if (special != nullptr && special->is_object()) return text_of(special->get_object(), "id");
  }
  return {};
}

// A token that tokenizer_config.json names, as text or as an object with "content".
std::string_view named_token(const json::object& config, std::string_view name) {
  const json::value* value = member(config, name);
  if (value != nullptr && value->is_object()) return text_of(value->get_object(), "content");
  return text_of(config, name);
}

Status set_special_ids(const json::object& root, const json::object& config, TokenizerSpec& spec) {
  const auto id_named = [&](std::string_view text, std::string_view field, TokenId& id) -> Status {
    if (text.empty()) return {};
    const auto found = std::ranges::find(spec.tokens, text);
    if (found == spec.tokens.end()) {
      return bad_field(kConfigFile, field, "no token " + excerpt(text));
    }
    id = static_cast<TokenId>(found - spec.tokens.begin());
    return {};
  };
  const std::string_view leading = leading_token(root);
  const std::string_view bos = named_token(config, "bos_token");
  RECKON_RETURN_IF_ERROR(id_named(bos.empty() ? leading : bos, "bos_token", spec.bos));
  RECKON_RETURN_IF_ERROR(id_named(named_token(config, "eos_token"), "eos_token", spec.eos));
  RECKON_RETURN_IF_ERROR(id_named(named_token(config, "pad_token"), "pad_token", spec.padding));
  spec.add_bos = !leading.empty() || is_true(config, "add_bos_token");
  spec.add_eos = is_true(config, "add_eos_token");
  return {};
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view tokenizer_json,
                                           std::string_view config_json, int64_t n_tokens) {
  RECKON_ASSIGN(const json::value root_value, parse_json(tokenizer_json, kFile));
  if (!root_value.is_object()) return bad_file("tokenizer.json: expected an object");
  const json::object& root = root_value.get_object();
  json::value config_value = json::object();
  if (!config_json.empty()) {
    RECKON_ASSIGN(config_value, parse_json(config_json, kConfigFile));
    if (!config_value.is_object()) return bad_file("tokenizer_config.json: expected an object");
  }
  const json::value* model_value = member(root, "model");
  if (model_value == nullptr || !model_value->is_object()) {
    return bad_field(kFile, "model", "expected an object");
  }
  if (n_tokens < 0 || n_tokens > kMaxTokens) {
    return bad_file("the model's embedding has " + std::to_string(n_tokens) +
                    " rows, expected up to " + std::to_string(kMaxTokens));
  }
  const json::object& model = model_value->get_object();
  RECKON_RETURN_IF_ERROR(check_model(model));
  TokenizerSpec spec;
  TokenTable table(n_entries(model, "vocab") + n_entries(root, "added_tokens"));
  RECKON_RETURN_IF_ERROR(read_vocabulary(model, table));
  RECKON_RETURN_IF_ERROR(read_merges(model, spec.merges));
  RECKON_RETURN_IF_ERROR(read_added_tokens(root, table));
  RECKON_RETURN_IF_ERROR(table.finish(n_tokens, spec));
  RECKON_RETURN_IF_ERROR(set_special_ids(root, config_value.get_object(), spec));
  RECKON_ASSIGN(spec.pre_tokenizer, recognise_pre_tokenizer(root, spec.add_bos));
  const bool ignore_merges = find_pre_tokenizer(spec.pre_tokenizer)->ignore_merges;
  if (is_true(model, "ignore_merges") != ignore_merges) {
    return bad_field(kFile, "model.ignore_merges",
                     std::string("expected ") + (ignore_merges ? "true" : "false") +
                         ", as the pre-tokenizer " + spec.pre_tokenizer + " has it");
  }
  return spec;
}

}  // namespace reckon
