// tokenizer.json -> TokenizerSpec: each family's structure recognised, added tokens, special ids,
// and what is refused.
#include "tokenizer/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <functional>
#include <string>

#include "tests/tokenizer/fixture.h"

namespace reckon {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

json::value parsed(std::string_view text) {
  auto value = parse_json(text, "test");
  if (!value.ok()) throw std::runtime_error(value.error().message);
  return *value;
}

json::object split(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", json::string(pattern.data(), pattern.size())}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json::object byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

json::object sequence(json::array parts) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
}

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeek =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
    "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|"
    R"(\s+(?!\S)|\s+)";

// A tokenizer.json over the committed vocabulary, as Qwen's.
json::object qwen2_file() {
  const TokenizerSpec spec = tiny_spec("qwen2");
  json::object vocab;
  for (size_t i = 0; i < spec.tokens.size(); ++i) vocab[spec.tokens[i]] = i;
  json::array merges;
  for (const std::string& merge : spec.merges) merges.emplace_back(merge);
  const auto n = spec.tokens.size();
  return {{"added_tokens",
           {{{"id", n}, {"content", "<|im_end|>"}, {"special", true}},
            {{"id", n + 1}, {"content", "<think>"}, {"special", false}},
            {{"id", n + 2}, {"content", "<｜User｜>"}, {"special", false}}}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", sequence({split(kQwen2), byte_level(false)})},
          {"post_processor", nullptr},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", nullptr},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", std::move(vocab)},
            {"merges", std::move(merges)}}}};
}

Result<TokenizerSpec> parse(const json::object& file, std::string_view config = {},
                            int64_t n_tokens = 0) {
  return parse_tokenizer_json(json::serialize(file), config, n_tokens);
}

TEST(ParseTokenizerJson, ReadsVocabularyAndAddedTokens) {
  const TokenizerSpec tiny = tiny_spec("qwen2");
  const auto n = static_cast<TokenId>(tiny.tokens.size());
  const auto spec =
      parse(qwen2_file(),
            R"({"bos_token": null, "eos_token": {"content": "<|im_end|>"}, "pad_token": "<think>",
                "add_bos_token": false})",
            n + 10);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->pre_tokenizer, "qwen2");
  EXPECT_EQ(spec->merges, tiny.merges);
  ASSERT_EQ(spec->tokens.size(), n + 10u);
  EXPECT_TRUE(std::equal(tiny.tokens.begin(), tiny.tokens.end(), spec->tokens.begin()));
  EXPECT_EQ(spec->kinds[n - 1], TokenKind::kNormal);
  EXPECT_EQ(spec->tokens[n], "<|im_end|>");
  EXPECT_EQ(spec->kinds[n], TokenKind::kControl);
  EXPECT_EQ(spec->kinds[n + 1], TokenKind::kUserDefined);
  EXPECT_EQ(spec->kinds[n + 2], TokenKind::kControl);  // it looks special
  EXPECT_EQ(spec->tokens[n + 3], "[PAD" + std::to_string(n + 3) + "]");
  EXPECT_EQ(spec->kinds[n + 3], TokenKind::kUnused);
  EXPECT_EQ(spec->bos, kNoToken);
  EXPECT_EQ(spec->eos, n);
  EXPECT_EQ(spec->padding, n + 1);
  EXPECT_FALSE(spec->add_bos);
  const auto tokenizer = make_tokenizer(*spec);
  const std::string text = "Größe 12 <think>";
  EXPECT_EQ(encode(*tokenizer, text), encode(*make_tokenizer(tiny), text));
}

TEST(ParseTokenizerJson, ReadsMergesAsPairs) {
  json::object file = qwen2_file();
  json::array pairs;
  for (const std::string& merge : tiny_spec("qwen2").merges) {
    const size_t space = merge.find(' ');
    pairs.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  file["model"].as_object()["merges"] = std::move(pairs);
  const auto spec = parse(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->merges, tiny_spec("qwen2").merges);
}

TEST(ParseTokenizerJson, RecognisesTheFamilies) {
  const json::object none = {{"type", "Sequence"}, {"normalizers", json::array()}};
  const struct {
    const char* name;
    json::value pre_tokenizer;
    json::value normaliser;
  } cases[] = {
      {"qwen2", sequence({split(kQwen2), byte_level(false)}), parsed(R"({"type":"NFC"})")},
      {"llama-bpe", sequence({split(kLlama3), byte_level(false)}), nullptr},
      {"deepseek-v3",
       sequence({split(R"(\p{N}{1,3})"), split("[一-龥぀-ゟ゠-ヿ]+"), split(kDeepSeek),
                 byte_level(false)}),
       none},
      {"smollm",
       sequence({json::object{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}),
       nullptr},
      {"gpt-2", byte_level(true), nullptr},
      {"gpt-2", parsed(R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true})"),
       nullptr},
  };
  for (const auto& c : cases) {
    json::object file = qwen2_file();
    file["pre_tokenizer"] = c.pre_tokenizer;
    file["normalizer"] = c.normaliser;
    file["model"].as_object()["ignore_merges"] = std::string_view(c.name) == "llama-bpe";
    const auto spec = parse(file);
    ASSERT_TRUE(spec.ok()) << c.name << ": " << spec.error().message;
    EXPECT_EQ(spec->pre_tokenizer, c.name);
  }
}

// The R1 distills' own file: Qwen's, with a token before the text.
TEST(ParseTokenizerJson, TellsTheDistillByItsFirstToken) {
  json::object file = qwen2_file();
  file["post_processor"] = parsed(
      R"({"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<think>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}]})");
  const auto spec = parse(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->pre_tokenizer, "deepseek-r1-qwen");
  EXPECT_TRUE(spec->add_bos);
  EXPECT_EQ(spec->tokens[static_cast<size_t>(spec->bos)], "<think>");
}

struct BadJson {
  const char* name;
  std::function<void(json::object& file)> spoil;
  const char* message;
};

class BadTokenizerJson : public testing::TestWithParam<BadJson> {};

TEST_P(BadTokenizerJson, IsRefusedAndNamed) {
  json::object file = qwen2_file();
  GetParam().spoil(file);
  const auto spec = parse(file);
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().kind, ErrorKind::kBadFile);
  EXPECT_THAT(spec.error().message, HasSubstr(GetParam().message));
}

json::object& model_of(json::object& file) { return file["model"].as_object(); }
json::object& added(json::object& file, size_t i) {
  return file["added_tokens"].as_array()[i].as_object();
}

const BadJson kBadJson[] = {
    {"no_model", [](json::object& f) { f.erase("model"); }, "model: expected an object"},
    {"model_type", [](json::object& f) { model_of(f)["type"] = "Unigram"; },
     "model.type: expected \"BPE\", found \"Unigram\""},
    {"no_vocab", [](json::object& f) { model_of(f).erase("vocab"); }, "model.vocab"},
    {"vocab_list", [](json::object& f) { model_of(f)["vocab"] = json::array(); }, "model.vocab"},
    {"id_text", [](json::object& f) { model_of(f)["vocab"].as_object()["e"] = "7"; },
     "model.vocab: \"e\": expected an id"},
    {"id_negative", [](json::object& f) { model_of(f)["vocab"].as_object()["e"] = -1; },
     "model.vocab: \"e\": expected an id"},
    {"id_huge", [](json::object& f) { model_of(f)["vocab"].as_object()["e"] = int64_t{1} << 40; },
     "model.vocab: \"e\": expected an id"},
    {"id_far_off", [](json::object& f) { added(f, 0)["id"] = 1 << 20; },
     "added_tokens: \"<|im_end|>\": expected an id"},
    {"id_fraction", [](json::object& f) { model_of(f)["vocab"].as_object()["e"] = 1.5; },
     "model.vocab: \"e\": expected an id"},
    {"id_twice", [](json::object& f) { model_of(f)["vocab"].as_object()["zz"] = 3; }, "has id 3"},
    {"no_merges", [](json::object& f) { model_of(f).erase("merges"); }, "model.merges"},
    {"merge_number", [](json::object& f) { model_of(f)["merges"].as_array()[2] = 5; },
     "model.merges: element 2"},
    {"merge_triple",
     [](json::object& f) { model_of(f)["merges"].as_array()[0] = json::array{"a", "b", "c"}; },
     "model.merges: element 0"},
    {"prefix", [](json::object& f) { model_of(f)["continuing_subword_prefix"] = "##"; },
     "model.continuing_subword_prefix"},
    {"suffix", [](json::object& f) { model_of(f)["end_of_word_suffix"] = "</w>"; },
     "model.end_of_word_suffix"},
    {"dropout", [](json::object& f) { model_of(f)["dropout"] = 0.1; }, "model.dropout"},
    {"unknown", [](json::object& f) { model_of(f)["unk_token"] = "<unk>"; }, "model.unk_token"},
    {"fallback", [](json::object& f) { model_of(f)["byte_fallback"] = true; },
     "model.byte_fallback"},
    {"ignore_merges", [](json::object& f) { model_of(f)["ignore_merges"] = true; },
     "model.ignore_merges: expected false"},
    {"added_object", [](json::object& f) { f["added_tokens"] = json::object(); }, "added_tokens"},
    {"added_text", [](json::object& f) { f["added_tokens"].as_array()[0] = "x"; }, "added_tokens"},
    {"added_id", [](json::object& f) { added(f, 0).erase("id"); },
     "added_tokens: \"<|im_end|>\": expected an id"},
    {"added_on_other", [](json::object& f) { added(f, 1)["id"] = 0; }, "has id 0"},
    {"rstrip", [](json::object& f) { added(f, 0)["rstrip"] = true; }, "rstrip is set"},
    {"single_word", [](json::object& f) { added(f, 0)["single_word"] = true; },
     "single_word is set"},
    {"nfkc", [](json::object& f) { f["normalizer"] = {{"type", "NFKC"}}; },
     "normalizer: expected NFC or none, found \"NFKC\""},
    {"no_nfc", [](json::object& f) { f["normalizer"] = nullptr; },
     "the pre-tokenizer is that of qwen2, which goes with NFC"},
    {"normaliser_text", [](json::object& f) { f["normalizer"] = "NFC"; }, "normalizer"},
    {"no_pre", [](json::object& f) { f.erase("pre_tokenizer"); }, "pre_tokenizer: not one of"},
    {"metaspace", [](json::object& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; },
     "pre_tokenizer: not one of"},
    {"pattern",
     [](json::object& f) {
       f["pre_tokenizer"] = sequence({split(R"(\p{L}+)"), byte_level(false)});
     },
     "pre_tokenizer: not one of"},
    {"prefix_space",
     [](json::object& f) {
       json::object part = byte_level(false);
       part["add_prefix_space"] = true;
       f["pre_tokenizer"] = sequence({split(kQwen2), part});
     },
     "pre_tokenizer: not one of"},
    {"removed",
     [](json::object& f) {
       json::object part = split(kQwen2);
       part["behavior"] = "Removed";
       f["pre_tokenizer"] = sequence({part, byte_level(false)});
     },
     "pre_tokenizer: not one of"},
};

INSTANTIATE_TEST_SUITE_P(Files, BadTokenizerJson, testing::ValuesIn(kBadJson),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(ParseTokenizerJson, RefusesWhatIsNoObjectAndWrongConfigs) {
  for (const char* text : {"", "[]", "7", "{", "{\"model\": 3}"}) {
    EXPECT_FALSE(parse_tokenizer_json(text).ok()) << text;
  }
  const auto n = static_cast<int64_t>(tiny_spec("qwen2").tokens.size());
  EXPECT_THAT(parse(qwen2_file(), {}, n).error().message, HasSubstr("expected at most"));
  EXPECT_THAT(parse(qwen2_file(), {}, -1).error().message, HasSubstr("-1 rows"));
  EXPECT_FALSE(parse(qwen2_file(), "[]").ok());
  EXPECT_FALSE(parse(qwen2_file(), "{").ok());
  EXPECT_THAT(parse(qwen2_file(), R"({"eos_token": "</s>"})").error().message,
              HasSubstr("eos_token: no token \"</s>\""));
}

}  // namespace
}  // namespace reckon
