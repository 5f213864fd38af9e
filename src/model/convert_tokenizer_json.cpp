// tokenizer.ggml.* -> tokenizer.json and its companions, so that transformers gives the same ids.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "model/convert_tokenizer.h"
#include "model/synth_vocabulary.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/pre_tokenizer_patterns.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

namespace json = boost::json;

json::string_view as_json(std::string_view text) { return {text.data(), text.size()}; }

json::object byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", false},
          {"use_regex", use_regex}};
}

json::object split(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", as_json(pattern)}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

// The steps of a pre-tokenizer; none for one that only GGUF knows.
json::array pre_tokenizer_steps(SplitRule rule) {
  switch (rule) {
    case SplitRule::kQwen2: return {split(kQwenPattern), byte_level(false)};
    case SplitRule::kLlama3: return {split(kLlama3Pattern), byte_level(false)};
    case SplitRule::kDeepSeekV3:
      return {split(kDeepSeekPattern1), split(kDeepSeekPattern2), split(kDeepSeekPattern3),
              byte_level(false)};
    case SplitRule::kSmolLm:
      return {json::object{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)};
    case SplitRule::kGpt2: return {byte_level(true)};
    case SplitRule::kDefault: return {};
  }
  return {};
}

json::object model_part(const TokenizerSpec& spec, bool ignore_merges) {
  json::object vocab;
  vocab.reserve(spec.tokens.size());
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.kinds[id] != TokenKind::kUnused) vocab[as_json(spec.tokens[id])] = id;
  }
  json::object model = {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", ignore_merges}};
  model["vocab"] = std::move(vocab);
  model["merges"] = json::array(spec.merges.begin(), spec.merges.end());
  return model;
}

json::array added_tokens(const TokenizerSpec& spec) {
  json::array added;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const bool special = spec.kinds[id] == TokenKind::kControl;
    if (!special && spec.kinds[id] != TokenKind::kUserDefined) continue;
    added.push_back(json::object{{"id", id},
                                 {"content", as_json(spec.tokens[id])},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", special}});
  }
  return added;
}

// What is put around a text: BOS and EOS where the file adds them.
json::value post_processor(const TokenizerSpec& spec) {
  json::array single;
  json::array pair;
  json::object special;
  const auto add_special = [&](TokenId id) {
    const json::string_view text = as_json(spec.tokens[static_cast<size_t>(id)]);
    const auto piece = [&](int type_id) {
      return json::object{{"SpecialToken", {{"id", text}, {"type_id", type_id}}}};
    };
    single.push_back(piece(0));
    pair.push_back(piece(0));
    special[text] = {{"id", text}, {"ids", json::array(1, id)}, {"tokens", json::array(1, text)}};
  };
  const auto add_sequence = [](json::array& to, const char* name, int type_id) {
    to.push_back(json::object{{"Sequence", {{"id", name}, {"type_id", type_id}}}});
  };
  if (spec.add_bos && spec.bos != kNoToken) add_special(spec.bos);
  add_sequence(single, "A", 0);
  add_sequence(pair, "A", 0);
  add_sequence(pair, "B", 1);
  if (spec.add_eos && spec.eos != kNoToken) add_special(spec.eos);
  if (special.empty()) return byte_level(false);
  return json::object{
      {"type", "Sequence"},
      {"processors", json::array{byte_level(false), json::object{{"type", "TemplateProcessing"},
                                                                 {"single", single},
                                                                 {"pair", pair},
                                                                 {"special_tokens", special}}}}};
}

Result<std::string> tokenizer_json(const TokenizerSpec& spec, const std::string& path) {
  const PreTokenizer* pre = find_pre_tokenizer(spec.pre_tokenizer);
  const json::array steps = pre == nullptr ? json::array() : pre_tokenizer_steps(pre->rule);
  if (steps.empty()) {
    return bad_file(
        fmt::format("{}: tokenizer.ggml.pre: expected one that tokenizer.json can state, "
                    "found {}",
                    path, excerpt(spec.pre_tokenizer)));
  }
  json::object out = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  out["added_tokens"] = added_tokens(spec);
  out["normalizer"] = pre->nfc ? json::value{{"type", "NFC"}} : json::value();
  out["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  out["post_processor"] = post_processor(spec);
  out["decoder"] = byte_level(false);
  out["model"] = model_part(spec, pre->ignore_merges);
  return json::serialize(out);
}

// All but the chat template and the context's length, which are the model's.
json::object tokenizer_config(const TokenizerSpec& spec) {
  json::object out = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                      {"clean_up_tokenization_spaces", false},
                      {"add_bos_token", spec.add_bos},
                      {"add_eos_token", spec.add_eos}};
  const auto token = [&](const char* key, TokenId id) {
    if (id != kNoToken) out[key] = as_json(spec.tokens[static_cast<size_t>(id)]);
  };
  token("bos_token", spec.bos);
  token("eos_token", spec.eos);
  token("pad_token", spec.padding);
  return out;
}

Result<std::string> tokenizer_config_json(const GgufFile& file, const TokenizerSpec& spec,
                                          const HfConfig& config) {
  json::object out = tokenizer_config(spec);
  out["model_max_length"] = config.context_length;
  RECKON_ASSIGN(const std::optional<std::string_view> chat_template,
                file.get_string("tokenizer.chat_template"));
  if (chat_template) out["chat_template"] = as_json(*chat_template);
  return json::serialize(out) + "\n";
}

Result<std::string> generation_config_json(const GgufFile& file, const TokenizerSpec& spec) {
  json::object out;
  const auto id = [&](const char* key, TokenId token) {
    if (token != kNoToken) out[key] = token;
  };
  id("bos_token_id", spec.bos);
  id("eos_token_id", spec.eos);
  if (spec.eot != kNoToken && spec.eot != spec.eos && spec.eos != kNoToken) {
    out["eos_token_id"] = json::array{spec.eos, spec.eot};
  }
  id("pad_token_id", spec.padding);
  RECKON_ASSIGN(const std::optional<uint64_t> top_k, file.get_uint("general.sampling.top_k"));
  RECKON_ASSIGN(const std::optional<double> top_p, file.get_float("general.sampling.top_p"));
  RECKON_ASSIGN(const std::optional<double> temperature, file.get_float("general.sampling.temp"));
  if (top_k || top_p || temperature) out["do_sample"] = true;
  if (top_k) out["top_k"] = *top_k;
  if (top_p) out["top_p"] = shortest_double(*top_p);
  if (temperature) out["temperature"] = shortest_double(*temperature);
  return json::serialize(out) + "\n";
}

}  // namespace

Status write_trained_tokenizer(const TokenizerSpec& spec, const std::string& path) {
  RECKON_ASSIGN(const std::string tokenizer_text, tokenizer_json(spec, path));
  json::object config = tokenizer_config(spec);
  config["chat_template"] = as_json(kR1ChatTemplate);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  RECKON_RETURN_IF_ERROR(write_file(path, tokenizer_text));
  return write_file((folder / "tokenizer_config.json").string(), json::serialize(config) + "\n");
}

Status write_tokenizer(const GgufFile& file, const std::string& folder, HfConfig& config) {
  RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::from_gguf(file));
  const TokenizerSpec& spec = tokenizer->spec();
  const auto id = [](TokenId token) {
    return token == kNoToken ? std::optional<int64_t>() : std::optional<int64_t>(token);
  };
  config.bos = id(spec.bos);
  config.eos = id(spec.eos);
  config.padding = id(spec.padding);
  RECKON_ASSIGN(const std::string tokenizer_text, tokenizer_json(spec, file.path()));
  RECKON_ASSIGN(const std::string config_text, tokenizer_config_json(file, spec, config));
  RECKON_ASSIGN(const std::string generation_text, generation_config_json(file, spec));
  RECKON_RETURN_IF_ERROR(write_file(folder + "/tokenizer.json", tokenizer_text));
  RECKON_RETURN_IF_ERROR(write_file(folder + "/tokenizer_config.json", config_text));
  return write_file(folder + "/generation_config.json", generation_text);
}

}  // namespace reckon
