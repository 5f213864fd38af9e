// Makes up or copies tokenizer.* metadata.
#include "model/synth_vocabulary.h"

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kKindsKey = "tokenizer.ggml.token_type";

constexpr std::string_view kBegin = "<｜begin▁of▁sentence｜>";
constexpr std::string_view kEnd = "<｜end▁of▁sentence｜>";
constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";
constexpr std::string_view kThink = "<think>";
constexpr std::string_view kEndThink = "</think>";
constexpr std::string_view kPad = "<｜▁pad▁｜>";

struct MadeUp {
  std::vector<std::string> tokens;
  std::vector<int32_t> kinds;
  std::vector<std::string> merges;

  void add(std::string_view token, TokenKind kind) {
    tokens.emplace_back(token);
    kinds.push_back(static_cast<int32_t>(kind));
  }
  void merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    add(left + right, TokenKind::kNormal);
  }
  size_t size() const { return tokens.size(); }
};

std::string spelling_of_byte(int byte) {
  std::string spelling;
  const char c = static_cast<char>(byte);
  append_spelling(std::string_view(&c, 1), spelling);
  return spelling;
}

// The bytes that stand for themselves come first, as in GPT-2's vocabulary.
void add_bytes(MadeUp& vocabulary) {
  for (const bool own : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      const bool prints = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
      if (prints == own) vocabulary.add(spelling_of_byte(byte), TokenKind::kNormal);
    }
  }
}

// A blank and a letter, two letters, then two pairs of letters: 26 + 26^2 + 26^4 tokens at most.
void add_merges(size_t n_tokens, MadeUp& vocabulary) {
  const std::string blank = spelling_of_byte(' ');
  std::vector<std::string> letters;
  for (char c = 'a'; c <= 'z'; ++c) letters.emplace_back(1, c);
  const auto full = [&] { return vocabulary.size() >= n_tokens; };
  for (const std::string& letter : letters) {
    if (!full()) vocabulary.merge(blank, letter);
  }
  std::vector<std::string> pairs;
  for (const std::string& first : letters) {
    for (const std::string& second : letters) {
      if (!full()) vocabulary.merge(first, second);
      pairs.push_back(first + second);
    }
  }
  for (const std::string& first : pairs) {
    for (const std::string& second : pairs) {
      if (!full()) vocabulary.merge(first, second);
    }
  }
  RECKON_CHECK(vocabulary.size() == n_tokens);
}

struct SpecialIds {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t padding = 0;
};

// From the first special id on, as in the Qwen distills.
SpecialIds add_qwen_specials(MadeUp& vocabulary) {
  const auto base = static_cast<uint32_t>(vocabulary.size());
  constexpr auto kControl = TokenKind::kControl;
  constexpr auto kUserDefined = TokenKind::kUserDefined;
  for (const std::string_view token : {kEnd, kUser, kAssistant, kBegin}) {
    vocabulary.add(token, kControl);
  }
  vocabulary.add("<|EOT|>", kControl);
  vocabulary.add(kThink, kUserDefined);
  vocabulary.add(kEndThink, kUserDefined);
  for (const std::string_view token :
       {"<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
        "<|image_pad|>", "<|video_pad|>"}) {
    vocabulary.add(token, kControl);
  }
  vocabulary.add("<tool_call>", kUserDefined);
  vocabulary.add("</tool_call>", kUserDefined);
  for (const std::string_view token : {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
                                       "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}) {
    vocabulary.add(token, kControl);
  }
  return {.begin = base + 3, .end = base, .padding = base + 11};
}

// From the first special id on, as in the Llama distills.
SpecialIds add_llama_specials(MadeUp& vocabulary) {
  const auto base = static_cast<uint32_t>(vocabulary.size());
  constexpr uint32_t kFirstMark = 11;
  vocabulary.add(kBegin, TokenKind::kControl);
  vocabulary.add(kEnd, TokenKind::kControl);
  for (uint32_t i = 2; i < kFirstMark; ++i) {
    vocabulary.add(fmt::format("<|reserved_special_token_{}|>", i - 2), TokenKind::kControl);
  }
  vocabulary.add(kUser, TokenKind::kControl);
  vocabulary.add(kAssistant, TokenKind::kControl);
  vocabulary.add(kThink, TokenKind::kUserDefined);
  vocabulary.add(kEndThink, TokenKind::kUserDefined);
  vocabulary.add(kPad, TokenKind::kControl);
  return {.begin = base, .end = base + 1, .padding = base + 15};
}

std::string unused_token(size_t id) { return fmt::format("[PAD{}]", id); }

std::vector<std::string_view> views(const std::vector<std::string>& strings) {
  return {strings.begin(), strings.end()};
}

struct FileVocabulary {
  std::vector<std::string_view> tokens;
  std::vector<int32_t> kinds;
};

Result<FileVocabulary> read_vocabulary(const GgufFile& from) {
  RECKON_ASSIGN(const GgufArray* tokens, from.get_array(kTokensKey, GgufValueType::kString));
  RECKON_ASSIGN(const GgufArray* kinds, from.get_array(kKindsKey, GgufValueType::kInt32));
  if (tokens == nullptr || tokens->count == 0) {
    return bad_file(
        fmt::format("{}: {}: expected a vocabulary, found none", from.path(), kTokensKey));
  }
  if (kinds == nullptr || kinds->count != tokens->count) {
    return bad_file(fmt::format("{}: {}: expected {} elements, one a token, found {}", from.path(),
                                kKindsKey, tokens->count, kinds == nullptr ? 0 : kinds->count));
  }
  FileVocabulary vocabulary{.tokens = tokens->strings, .kinds = {}};
  for (uint64_t i = 0; i < kinds->count; ++i) {
    vocabulary.kinds.push_back(static_cast<int32_t>(kinds->int_at(i)));
  }
  return vocabulary;
}

}  // namespace

void add_made_up_tokenizer(const SynthShape& shape, GgufWriter& writer) {
  const bool qwen = shape.architecture == Architecture::kQwen2;
  MadeUp vocabulary;
  add_bytes(vocabulary);
  add_merges(static_cast<size_t>(shape.n_text_tokens), vocabulary);
  const SpecialIds ids = qwen ? add_qwen_specials(vocabulary) : add_llama_specials(vocabulary);
  RECKON_CHECK(vocabulary.size() <= static_cast<size_t>(shape.vocab_size));
  while (vocabulary.size() < static_cast<size_t>(shape.vocab_size)) {
    vocabulary.add(unused_token(vocabulary.size()), TokenKind::kUnused);
  }
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", qwen ? "deepseek-r1-qwen" : "llama-bpe");
  writer.add_strings(kTokensKey, views(vocabulary.tokens));
  writer.add_int32s(kKindsKey, vocabulary.kinds);
  writer.add_strings("tokenizer.ggml.merges", views(vocabulary.merges));
  writer.add_uint32("tokenizer.ggml.bos_token_id", ids.begin);
  writer.add_uint32("tokenizer.ggml.eos_token_id", ids.end);
  writer.add_uint32("tokenizer.ggml.padding_token_id", ids.padding);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
  writer.add_bool("tokenizer.ggml.add_eos_token", false);
  writer.add_string("tokenizer.chat_template", kR1ChatTemplate);
}

Result<int64_t> count_tokens(const GgufFile& from) {
  RECKON_ASSIGN(const FileVocabulary vocabulary, read_vocabulary(from));
  return static_cast<int64_t>(vocabulary.tokens.size());
}

Status copy_tokenizer(const GgufFile& from, int64_t vocab_size, GgufWriter& writer) {
  RECKON_ASSIGN(FileVocabulary vocabulary, read_vocabulary(from));
  const auto wanted = static_cast<size_t>(vocab_size);
  for (size_t id = wanted; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.kinds[id] == static_cast<int32_t>(TokenKind::kUnused)) continue;
    return usage_error(fmt::format(
        "{}: expected a tokenizer of at most {} tokens (the shape's), found {} and token {} in use",
        from.path(), vocab_size, vocabulary.tokens.size(), id));
  }
  std::vector<std::string> padding;
  for (size_t id = vocabulary.tokens.size(); id < wanted; ++id) {
    padding.push_back(unused_token(id));
    vocabulary.kinds.push_back(static_cast<int32_t>(TokenKind::kUnused));
  }
  vocabulary.tokens.insert(vocabulary.tokens.end(), padding.begin(), padding.end());
  vocabulary.tokens.resize(wanted);
  vocabulary.kinds.resize(wanted);
  for (const GgufKeyValue& pair : from.metadata()) {
    if (pair.key == kTokensKey) {
      writer.add_strings(kTokensKey, vocabulary.tokens);
    } else if (pair.key == kKindsKey) {
      writer.add_int32s(kKindsKey, vocabulary.kinds);
    } else if (pair.key.starts_with("tokenizer.") && pair.key != "tokenizer.ggml.scores") {
      writer.add_value(pair.key, pair.value);
    }
  }
  return {};
}

}  // namespace reckon
