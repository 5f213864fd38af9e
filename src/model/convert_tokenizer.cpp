// tokenizer.json and its companions -> tokenizer.ggml.*.
#include "model/convert_tokenizer.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxTokenizerBytes = uint64_t{128} << 20;
constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

// The file's text, or empty when there is none.
Result<std::optional<std::string>> read_optional(const std::string& path, uint64_t max_bytes) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::optional<std::string>();
  RECKON_ASSIGN(std::string text, read_file(path, max_bytes));
  return std::optional(std::move(text));
}

// The object in a JSON file, or an empty one when there is no file.
Result<json::object> read_object(const std::string& path) {
  RECKON_ASSIGN(const std::optional<std::string> text, read_optional(path, kMaxConfigBytes));
  if (!text) return json::object();
  RECKON_ASSIGN(json::value value, parse_json(*text, path));
  if (!value.is_object()) return bad_file(path + ": expected a JSON object");
  return std::move(value.get_object());
}

// chat_template.jinja, or tokenizer_config.json's chat_template: one text, or several by name.
Result<std::optional<std::string>> read_chat_template(const std::string& folder,
                                                      const JsonFields& tokenizer_config) {
  RECKON_ASSIGN(std::optional<std::string> text,
                read_optional(folder + "/chat_template.jinja", kMaxConfigBytes));
  if (text) return text;
  const json::value* found = tokenizer_config.find("chat_template");
  if (found == nullptr || !found->is_array()) return tokenizer_config.text("chat_template");
  for (const json::value& entry : found->get_array()) {
    if (!entry.is_object()) break;
    const JsonFields named(entry.get_object(), "chat_template");
    RECKON_ASSIGN(const std::optional<std::string> name, named.text("name"));
    if (name == "default") return named.text("template");
  }
  return tokenizer_config.wrong("chat_template", "a text, or a list with one named \"default\"");
}

// What generation_config.json advises: GGUF has keys for it.
Status add_sampling(const std::string& path, GgufWriter& writer) {
  RECKON_ASSIGN(const json::object object, read_object(path));
  const JsonFields fields(object, path);
  RECKON_ASSIGN(const bool samples, fields.flag("do_sample", false));
  if (!samples) return {};
  RECKON_ASSIGN(const std::optional<int64_t> top_k, fields.integer("top_k", 0, 1 << 24));
  RECKON_ASSIGN(const std::optional<double> top_p, fields.number("top_p"));
  RECKON_ASSIGN(const std::optional<double> temperature, fields.number("temperature"));
  if (top_k) writer.add_int32("general.sampling.top_k", static_cast<int32_t>(*top_k));
  if (top_p) writer.add_float32("general.sampling.top_p", static_cast<float>(*top_p));
  if (temperature) writer.add_float32("general.sampling.temp", static_cast<float>(*temperature));
  return {};
}

Status add_id(GgufWriter& writer, std::string_view name, TokenId id,
              const std::optional<int64_t>& otherwise, int64_t vocab_size) {
  const int64_t chosen = id != kNoToken ? id : otherwise.value_or(kNoToken);
  if (chosen == kNoToken) return {};
  if (chosen >= vocab_size) {
    return bad_file(
        fmt::format("config.json: {}: expected 0 to {}, found {}", name, vocab_size - 1, chosen));
  }
  writer.add_uint32(fmt::format("tokenizer.ggml.{}", name), static_cast<uint32_t>(chosen));
  return {};
}

}  // namespace

Status add_tokenizer(const std::string& folder, const HfConfig& config, GgufWriter& writer) {
  const std::string config_path = folder + "/tokenizer_config.json";
  RECKON_ASSIGN(const std::string text, read_file(folder + "/tokenizer.json", kMaxTokenizerBytes));
  RECKON_ASSIGN(const std::optional<std::string> config_text,
                read_optional(config_path, kMaxConfigBytes));
  const auto parsed = parse_tokenizer_json(text, config_text.value_or(""), config.vocab_size);
  if (!parsed.ok()) {
    return Error{parsed.error().kind, folder + "/" + parsed.error().message};
  }
  const TokenizerSpec& spec = *parsed;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", spec.pre_tokenizer);
  const std::vector<std::string_view> tokens(spec.tokens.begin(), spec.tokens.end());
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  std::vector<int32_t> kinds;
  for (const TokenKind kind : spec.kinds) kinds.push_back(static_cast<int32_t>(kind));
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  const std::vector<std::string_view> merges(spec.merges.begin(), spec.merges.end());
  writer.add_strings("tokenizer.ggml.merges", merges);
  const auto id = [&](std::string_view name, TokenId of_spec,
                      const std::optional<int64_t>& otherwise) {
    return add_id(writer, name, of_spec, otherwise, config.vocab_size);
  };
  RECKON_RETURN_IF_ERROR(id("bos_token_id", spec.bos, config.bos));
  RECKON_RETURN_IF_ERROR(id("eos_token_id", spec.eos, config.eos));
  RECKON_RETURN_IF_ERROR(id("eot_token_id", spec.eot, std::nullopt));
  RECKON_RETURN_IF_ERROR(id("padding_token_id", spec.padding, config.padding));
  writer.add_bool("tokenizer.ggml.add_bos_token", spec.add_bos);
  writer.add_bool("tokenizer.ggml.add_eos_token", spec.add_eos);
  RECKON_ASSIGN(const json::object tokenizer_config, read_object(config_path));
  RECKON_ASSIGN(const std::optional<std::string> chat_template,
                read_chat_template(folder, JsonFields(tokenizer_config, config_path)));
  if (chat_template) writer.add_string("tokenizer.chat_template", *chat_template);
  return add_sampling(folder + "/generation_config.json", writer);
}

}  // namespace reckon
