// An engine over a scripted decoder, the tiny vocabulary and a template in R1's manner.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "tests/engine/scripted_decoder.h"
#include "tests/reasoning/tiny_tokenizer.h"

namespace reckon::testing {

// "{system}U:{user}A:{answer}E" with the thought opened; answers keep nothing before </think>.
class TinyTemplate final : public ChatTemplate {
 public:
  explicit TinyTemplate(bool thinks = true) : thinks_(thinks) {}
  std::string_view name() const override { return "tiny"; }
  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    std::vector<PromptPiece> pieces{{"<bos>", true, true}};
    for (const Message& message : messages) {
      switch (message.role) {
        case Role::kSystem: break;
        case Role::kUser: pieces.push_back({"U:", true, false}); break;
        case Role::kAssistant: pieces.push_back({"A:", true, false}); break;
        case Role::kTool: return usage_error("tiny has no tools");
      }
      pieces.push_back({message.content, false, false});
      if (message.role == Role::kAssistant) pieces.push_back({"<eos>", true, false});
    }
    if (options.add_generation_prompt) {
      pieces.push_back({opens_thinking(options) ? "A:<think>\n" : "A:", true, false});
    }
    return pieces;
  }
  ThinkMarks think_marks() const override {
    return thinks_ ? ThinkMarks{"<think>", "</think>"} : ThinkMarks{};
  }
  std::vector<std::string> stop_spellings() const override { return {"<|im_end|>", "<|over|>"}; }
  bool opens_thinking(const RenderOptions& options) const override {
    return thinks_ && options.open_thinking;
  }
  bool renders_tools() const override { return false; }

 private:
  bool thinks_;
};

inline DecoderShape tiny_shape(int64_t n_pages = 64, int64_t max_batch_tokens = 32) {
  return {.vocab_size = 263,
          .page_positions = 8,
          .n_pages = n_pages,
          .context_length = 512,
          .max_batch_tokens = max_batch_tokens};
}

struct Rig {
  explicit Rig(const DecoderShape& shape = tiny_shape(), ScriptedDecoder::Script script = {},
               const EngineOptions& options = {}) {
    auto decoder = std::make_unique<ScriptedDecoder>(shape, std::move(script));
    record = decoder->record();
    Result<std::unique_ptr<Engine>> made = Engine::create(
        std::move(decoder), tiny_tokenizer(), std::make_shared<TinyTemplate>(), options);
    EXPECT_TRUE(made.ok());
    engine = std::move(*made);
  }

  // All pages are free or held by the prefix cache alone.
  void expect_idle() const {
    const EngineStats stats = engine->stats();
    EXPECT_EQ(stats.n_running, 0);
    EXPECT_EQ(stats.n_waiting, 0);
    EXPECT_EQ(stats.n_free_pages + stats.n_cached_pages, stats.n_pages);
  }

  std::shared_ptr<ScriptedDecoder::Record> record;
  std::unique_ptr<Engine> engine;
};

inline Request greedy_request(std::string_view prompt, int64_t max_tokens) {
  Request request;
  request.prompt = bytes_as_tokens(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  return request;
}

// A script that says `output` after a prompt of n_prompt tokens, then EOS for ever.
inline ScriptedDecoder::Script say(size_t n_prompt, std::vector<TokenId> output) {
  return [n_prompt, output](const std::vector<TokenId>& sequence) {
    const size_t i = sequence.size() - n_prompt;
    return i < output.size() ? output[i] : kEos;
  };
}

// What one request's events said.
struct Log {
  EventSink sink() {
    return [this](RequestId request_id, const Event& event) {
      id = request_id;
      EXPECT_FALSE(finished.has_value()) << "an event after the last";
      if (std::holds_alternative<StartedEvent>(event)) ++n_started;
      if (const auto* e = std::get_if<PrefillEvent>(&event)) prefills.push_back(*e);
      if (const auto* e = std::get_if<TokenEvent>(&event)) tokens.push_back(*e);
      if (const auto* e = std::get_if<TextEvent>(&event)) {
        (e->part == Part::kThinking ? thinking : answer) += e->text;
      }
      if (const auto* e = std::get_if<FinishedEvent>(&event)) finished = *e;
    };
  }
  std::vector<TokenId> ids() const {
    std::vector<TokenId> result;
    for (const TokenEvent& token : tokens) result.push_back(token.token);
    return result;
  }

  RequestId id = 0;
  int n_started = 0;
  std::vector<PrefillEvent> prefills;
  std::vector<TokenEvent> tokens;
  std::string thinking;
  std::string answer;
  std::optional<FinishedEvent> finished;
};

}  // namespace reckon::testing
