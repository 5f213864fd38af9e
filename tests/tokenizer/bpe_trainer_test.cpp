// Trained vocabularies beside the reference's (tools/bpe_fixtures.py), and what is refused.
#include "tokenizer/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tokenizer/fixture.h"

namespace reckon {
namespace {

using testing::HasSubstr;

const boost::json::object& fixture() {
  static const boost::json::object object = read_json_fixture("bpe_training.json");
  return object;
}

BpeTrainer trainer_with_texts(const BpeTrainerOptions& options) {
  auto trainer = BpeTrainer::create(options);
  if (!trainer.ok()) throw std::runtime_error(trainer.error().message);
  for (const std::string& text : strings_of(fixture().at("texts"))) trainer->add(text);
  return std::move(trainer).value();
}

TEST(BpeTrainer, GivesTheReferencesTokensMergesAndIds) {
  const auto n_special = static_cast<int64_t>(r1_special_tokens().size());
  for (const auto& value : fixture().at("cases").as_array()) {
    const boost::json::object& expected = value.as_object();
    const BpeTrainer trainer =
        trainer_with_texts({.vocab_size = expected.at("vocab_size").as_int64() + n_special,
                            .pre_tokenizer = "deepseek-r1-qwen",
                            .min_count = expected.at("min_count").as_int64()});
    auto spec = trainer.train();
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    std::vector<std::string> tokens = strings_of(expected.at("tokens"));
    EXPECT_EQ(spec->merges, strings_of(expected.at("merges")));
    EXPECT_EQ(spec->bos, static_cast<TokenId>(tokens.size()) + 1);
    EXPECT_EQ(spec->tokens[static_cast<size_t>(spec->bos)], "<｜begin▁of▁sentence｜>");
    for (const SpecialToken& token : r1_special_tokens()) tokens.emplace_back(token.spelling);
    EXPECT_EQ(spec->tokens, tokens);
    const auto tokenizer = make_tokenizer(*spec);
    for (const auto& probe : expected.at("probes").as_array()) {
      std::vector<TokenId> ids;
      tokenizer->encode(std::string(probe.as_object().at("text").as_string()),
                        SpecialTokens::kAsText, ids);
      EXPECT_EQ(ids, ids_of(probe.as_object().at("ids")));
    }
  }
}

TEST(BpeTrainer, TextsOrderAndSplittingDoNotMatterButJoiningDoes) {
  const BpeTrainerOptions options{.vocab_size = 300, .pre_tokenizer = "qwen2", .min_count = 1};
  auto one = BpeTrainer::create(options);
  auto two = BpeTrainer::create(options);
  one->add("banana bandana");
  one->add("cabana");
  two->add("cabana");
  two->add("banana bandana");
  EXPECT_EQ(one->train()->merges, two->train()->merges);
  EXPECT_FALSE(one->train()->merges.empty());
}

TEST(BpeTrainer, RefusesWhatCannotBe) {
  const auto message = [](const BpeTrainerOptions& options) {
    auto trainer = BpeTrainer::create(options);
    return trainer.ok() ? std::string() : trainer.error().message;
  };
  EXPECT_THAT(message({.vocab_size = 262}), HasSubstr("found 262"));
  EXPECT_EQ(message({.vocab_size = 263}), "");
  EXPECT_THAT(message({.vocab_size = -1}), HasSubstr("found -1"));
  EXPECT_THAT(message({.vocab_size = (1 << 24) + 1}), HasSubstr("16777217"));
  EXPECT_THAT(message({.vocab_size = 300, .pre_tokenizer = "word"}), HasSubstr("\"word\""));
  EXPECT_THAT(message({.vocab_size = 300, .min_count = 0}), HasSubstr("found 0"));
}

TEST(BpeTrainer, StopsWhenTold) {
  const BpeTrainer trainer = trainer_with_texts({.vocab_size = 500});
  const auto stopped = trainer.train([](int64_t, int64_t) { return false; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
}

TEST(BpeTrainer, ManyDifferentPiecesAreNoProblem) {
  auto trainer = BpeTrainer::create({.vocab_size = 600});
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += " w" + std::string(1, 'a' + i % 26) + std::string(1, 'a' + i / 26 % 26) + "x";
  text += std::string(100000, 'z');
  trainer->add(text);
  EXPECT_TRUE(trainer->train().ok());
}

}  // namespace
}  // namespace reckon
