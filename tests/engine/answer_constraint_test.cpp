// Constrained answers from scripted and from random models: the grammar holds, the thought is free,
// and neither guesses nor neighbours change a token.
#include "engine/answer_constraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/json.h"
#include "sampling/json_schema.h"
#include "tests/engine/engine_fixture.h"

namespace reckon {
namespace {

using testing::bytes_as_tokens;
using testing::greedy_request;
using testing::kEos;
using testing::kImEnd;
using testing::kThink;
using testing::kThinkEnd;
using testing::Log;
using testing::Rig;
using testing::say;
using testing::ScriptedDecoder;
using testing::tiny_shape;

std::shared_ptr<const Grammar> grammar(std::string_view text) {
  auto made = Grammar::parse(text);
  EXPECT_TRUE(made.ok());
  return *made;
}

// Wants to say `output`; where a token of it is not allowed, the lowest allowed id is taken.
void run(Request request, std::vector<TokenId> output, Log& log,
         const EngineOptions& options = {}) {
  Rig rig(tiny_shape(), say(request.prompt.size(), std::move(output)), options);
  ASSERT_TRUE(rig.engine->submit(std::move(request), log.sink()).ok());
  while (rig.engine->step()) {
  }
  rig.expect_idle();
  ASSERT_TRUE(log.finished.has_value());
}

Request constrained(std::string_view gbnf, int64_t max_tokens = 100,
                    ThinkingStart thinking = ThinkingStart::kPlain) {
  Request request = greedy_request("ask", max_tokens);
  request.constraint = grammar(gbnf);
  request.thinking = thinking;
  return request;
}

std::vector<TokenId> tokens(std::string_view before, std::vector<TokenId> special,
                            std::string_view after) {
  std::vector<TokenId> result = bytes_as_tokens(before);
  result.insert(result.end(), special.begin(), special.end());
  const std::vector<TokenId> rest = bytes_as_tokens(after);
  result.insert(result.end(), rest.begin(), rest.end());
  return result;
}

TEST(AnswerConstraint, WhatTheModelWantsWhereItIsAllowed) {
  Log log;
  run(constrained("root ::= \"yes\" | \"no\""), bytes_as_tokens("no"), log);
  EXPECT_EQ(log.answer, "no");
  EXPECT_EQ(log.finished->reason, FinishReason::kStop);
}

TEST(AnswerConstraint, NothingElse) {
  Log log;
  run(constrained("root ::= [0-9]{3}"), bytes_as_tokens("1b345"), log);
  EXPECT_EQ(log.answer, "103");  // b is refused, then 3 as wanted
  EXPECT_EQ(log.finished->reason, FinishReason::kStop);
}

// An end token is refused before the answer is whole, and all special ones in its middle.
TEST(AnswerConstraint, TheTurnEndsExactlyWhereItMay) {
  for (const TokenId special : {kEos, kImEnd, kThink, kThinkEnd, testing::kBos}) {
    Log log;
    run(constrained("root ::= \"abc\"+"), tokens("a", {special}, "cabc"), log);
    EXPECT_EQ(log.answer, "abcabc") << special;
    EXPECT_EQ(log.finished->reason, FinishReason::kStop);
  }
  for (const TokenId end : {kEos, kImEnd}) {
    Log log;
    run(constrained("root ::= \"abc\"+"), tokens("abc", {end}, "abc"), log);
    EXPECT_EQ(log.answer, "abc");
  }
}

TEST(AnswerConstraint, TheThoughtIsFree) {
  Log log;
  run(constrained("root ::= \"{}\"", 100, ThinkingStart::kOpened),
      tokens("any {thought} \xff", {kThinkEnd}, "\n\n{}"), log);
  EXPECT_EQ(log.thinking, "any {thought} \xef\xbf\xbd");
  EXPECT_EQ(log.answer, "{}");
  EXPECT_EQ(log.finished->reason, FinishReason::kStop);
}

TEST(AnswerConstraint, FromTheFirstByteAfterTheThought) {
  Log log;
  run(constrained("root ::= \"{}\"", 100, ThinkingStart::kOpened),
      tokens("hm", {kThinkEnd}, "Sure: {}"), log);
  EXPECT_EQ(log.answer, "{}");
}

TEST(AnswerConstraint, AForcedEndOfTheThought) {
  for (const int64_t budget : {0, 3}) {
    Request request = constrained("root ::= \"{}\"", 100, ThinkingStart::kOpened);
    request.think_budget = budget;
    Log log;
    run(std::move(request), bytes_as_tokens("xxxxxxxxxxxxxxxxxxxxxxx"), log);
    EXPECT_EQ(log.thinking, std::string(static_cast<size_t>(budget), 'x'));
    EXPECT_EQ(log.answer, "{}");
    EXPECT_EQ(log.finished->reason, FinishReason::kStop);
  }
}

// The model would end its turn without any answer.
TEST(AnswerConstraint, ATurnThatEndsInsideTheThought) {
  for (const TokenId end : {kEos, kImEnd}) {
    // What is forced stands in the end token's place: a line break, the mark and a blank line.
    Log log;
    run(constrained("root ::= \"{}\"", 100, ThinkingStart::kOpened), tokens("hm", {end}, "xxx{}"),
        log);
    EXPECT_EQ(log.thinking, "hm");
    EXPECT_EQ(log.answer, "{}");
    EXPECT_EQ(log.finished->reason, FinishReason::kStop);
    const std::vector<TokenId> said = log.ids();
    EXPECT_EQ(std::count(said.begin(), said.end(), end), end == kEos ? 1 : 0);
  }
  Log broken;  // inside a character
  run(constrained("root ::= \"{}\"", 100, ThinkingStart::kOpened), tokens("\xc3", {kEos}, "xxx{}"),
      broken);
  EXPECT_EQ(broken.thinking, "\xef\xbf\xbd");
  EXPECT_EQ(broken.answer, "{}");
}

TEST(AnswerConstraint, AThoughtThatTheModelOpens) {
  Log opened;
  run(constrained("root ::= \"{}\"", 100, ThinkingStart::kMayOpen), tokens("", {kThink}, "so"),
      opened);
  EXPECT_EQ(opened.thinking, "so");  // the script goes on with the end of the turn
  Log plain;
  run(constrained("root ::= \"{}\"", 100, ThinkingStart::kMayOpen), bytes_as_tokens("{}"), plain);
  EXPECT_EQ(plain.answer, "{}");
  Log late;
  run(constrained("root ::= \"{\" [a-z] \"}\"", 100, ThinkingStart::kMayOpen),
      tokens("{", {kThink}, "}"), late);
  EXPECT_EQ(late.answer, "{a}");
  EXPECT_EQ(late.thinking, "");
}

// A vocabulary that spells its marks out: they end in the middle of a token.
TEST(AnswerConstraint, MarksThatAreSpeltOut) {
  const auto tokenizer = testing::tiny_tokenizer(false);
  auto decoder =
      std::make_unique<ScriptedDecoder>(tiny_shape(), say(3, bytes_as_tokens("so</think>\n\n[1]")));
  auto engine =
      Engine::create(std::move(decoder), tokenizer, std::make_shared<testing::TinyTemplate>(), {});
  ASSERT_TRUE(engine.ok());
  const auto completion =
      (*engine)->generate(constrained("root ::= \"[\" [0-9] \"]\"", 100, ThinkingStart::kOpened));
  ASSERT_TRUE(completion.ok());
  EXPECT_EQ(completion->thinking, "so");
  EXPECT_EQ(completion->answer, "[1]");
}

TEST(AnswerConstraint, CutByMaxTokens) {
  Log log;
  run(constrained("root ::= \"a\"*", 5), bytes_as_tokens(std::string(50, 'a')), log);
  EXPECT_EQ(log.answer, "aaaaa");
  EXPECT_EQ(log.finished->reason, FinishReason::kLength);
}

// Each a doubles the ways to read it: at some point the grammar takes no more of them.
TEST(AnswerConstraint, TooManyReadingsAreRefused) {
  Log log;
  run(constrained("root ::= x \"!\"\nx ::= \"a\" x \"b\" | \"a\" x \"c\" | \"a\"", 100),
      bytes_as_tokens(std::string(90, 'a')), log);
  EXPECT_EQ(log.finished->reason, FinishReason::kStop);
  EXPECT_TRUE(log.answer.starts_with("aaaaaaaa"));
  EXPECT_TRUE(log.answer.ends_with("b!"));
}

constexpr const char* kSchema =
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":6},
        "ok":{"type":"boolean"},"n":{"type":"integer","minimum":-5,"maximum":120},
        "list":{"type":"array","items":{"enum":["a","b",null]},"maxItems":3}},
        "required":["name","n"],"additionalProperties":false})";

Request random_request(uint64_t seed, const std::shared_ptr<const Grammar>& grammar) {
  Request request = greedy_request("random", 200);
  request.sampling.temperature = 1.0;
  request.sampling.seed = seed;
  request.constraint = grammar;
  return request;
}

// A model that says anything, held to a schema, says JSON that the schema accepts.
TEST(AnswerConstraint, ARandomModelSaysValidJson) {
  const auto grammar = *json_schema_grammar(std::string_view(kSchema));
  Rig rig;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto completion = rig.engine->generate(random_request(seed, grammar));
    ASSERT_TRUE(completion.ok());
    ASSERT_EQ(completion->finish_reason, FinishReason::kStop) << completion->answer;
    const auto value = parse_json(completion->answer, "answer");
    ASSERT_TRUE(value.ok()) << completion->answer;
    const auto& object = value->as_object();
    EXPECT_TRUE(object.at("name").is_string());
    const int64_t n = object.at("n").as_int64();
    EXPECT_TRUE(n >= -5 && n <= 120);
    for (const auto& member : object) {
      EXPECT_TRUE(member.key() == "name" || member.key() == "n" || member.key() == "ok" ||
                  member.key() == "list");
    }
    if (const auto* list = object.if_contains("list")) {
      EXPECT_LE(list->as_array().size(), 3u);
    }
  }
  rig.expect_idle();
}

// The same alone, with guesses, among others in one batch and in the smallest batches.
TEST(AnswerConstraint, SameTokensHoweverComputed) {
  const auto schema = *json_schema_grammar(std::string_view(kSchema));
  std::vector<std::vector<TokenId>> alone;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Rig rig;
    alone.push_back(rig.engine->generate(random_request(seed, schema))->tokens);
  }
  for (const bool guess : {false, true}) {
    for (const int64_t max_batch : {1, 8, 32}) {
      Rig rig(tiny_shape(64, max_batch), {}, {.guess_ngrams = guess});
      std::vector<Log> logs(8);
      for (uint64_t seed = 0; seed < 8; ++seed) {
        ASSERT_TRUE(rig.engine->submit(random_request(seed, schema), logs[seed].sink()).ok());
      }
      while (rig.engine->step()) {
      }
      for (uint64_t seed = 0; seed < 8; ++seed) EXPECT_EQ(logs[seed].ids(), alone[seed]);
    }
  }
  // Guesses that come true, and some that the grammar refuses.
  const std::string quote = "[\"the quick brown fox\", \"the quick brown fox\", \"the quick brown";
  for (const bool guess : {false, true}) {
    Log log;
    Request request = constrained(
        "root ::= \"[\" s (\", \" s){0,3} \"]\"\ns ::= \"\\\"\" [a-z ]* "
        "\"\\\"\"");
    request.max_tokens = 300;
    run(std::move(request), bytes_as_tokens(quote + " dog\"] and"), log, {.guess_ngrams = guess});
    EXPECT_EQ(log.answer,
              "[\"the quick brown fox\", \"the quick brown fox\", \"the quick brown "
              "dog\"]");
  }
}

TEST(AnswerConstraint, NeighboursWithoutOneAreFree) {
  Rig rig(tiny_shape(), say(3, bytes_as_tokens("Hello")));
  Log free;
  Log held;
  ASSERT_TRUE(rig.engine->submit(greedy_request("ask", 50), free.sink()).ok());
  ASSERT_TRUE(rig.engine->submit(constrained("root ::= \"He\" [a-z]{2} \"?\""), held.sink()).ok());
  while (rig.engine->step()) {
  }
  EXPECT_EQ(free.answer, "Hello");
  EXPECT_EQ(held.answer, "Hell?");
}

}  // namespace
}  // namespace reckon
