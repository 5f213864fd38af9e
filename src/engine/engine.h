// The facade over decoder, tokenizer and sampling: takes requests, drives many of them at once step
// by step, and tells each one's events. The stepping thread does all the work; any thread may
// submit and control.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/answer_constraint.h"
#include "engine/control_table.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "forward/decoder.h"
#include "sampling/sampler.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

struct EngineOptions {
  // Positions a sequence may have; 0: all that the model and the decoder's pages allow.
  int64_t context_length = 0;
  int64_t max_running = 64;      // sequences computed at once; others wait
  int64_t max_batch_tokens = 0;  // of a step; 0: the decoder's own limit
  // Guess tokens from what was said before and let the decoder judge several in a step. The output
  // is the same, sooner where it repeats itself.
  bool guess_ngrams = false;
};

struct EngineStats {
  int64_t n_waiting = 0;
  int64_t n_running = 0;
  int64_t n_pages = 0;
  int64_t n_free_pages = 0;
  int64_t n_cached_pages = 0;  // known to the prefix cache, in use or not
  int64_t n_preemptions = 0;   // since the engine was made
  int64_t n_guessed = 0;       // tokens computed before they were known, likewise
  int64_t n_accepted = 0;      // of those, how many came true
};

class Engine {
 public:
  // chat_template may be null: then no output is parsed for thoughts and only the tokenizer's own
  // end tokens end a turn. Errors: kUsage when options and decoder don't fit together, kBadFile
  // when the tokenizer's vocabulary is larger than the model's, kFailed when memory is short.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Decoder> decoder,
                                                std::shared_ptr<const Tokenizer> tokenizer,
                                                std::shared_ptr<const ChatTemplate> chat_template,
                                                const EngineOptions& options);
  ~Engine();

  // Queues a request. Any thread. Errors: kUsage naming the field (a prompt that fills the context
  // is refused with both numbers, never cut), kFailed when ControlTable::kSlots requests are in.
  Result<RequestId> submit(Request request, EventSink sink);
  // Takes effect before the next step computes anything; false if the request has ended. Any
  // thread, signal handlers too.
  bool cancel(RequestId id) noexcept { return controls_.set(id, ControlTable::kCancel); }
  // Ends the thought at the next character boundary; does nothing to an answer. As cancel().
  bool answer_now(RequestId id) noexcept { return controls_.set(id, ControlTable::kAnswerNow); }

  // Computes one batch and hands out its events. Returns whether requests are left. One thread.
  bool step();
  // Submits and steps until the request has ended, driving others along. sink may be empty.
  // Errors: submit()'s, and kFailed for FinishReason::kError. Cancelled is no error.
  Result<Completion> generate(Request request, EventSink sink = {});

  int64_t context_length() const { return context_length_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::shared_ptr<const Tokenizer>& shared_tokenizer() const { return tokenizer_; }
  const std::shared_ptr<const ChatTemplate>& chat_template() const { return chat_template_; }
  EngineStats stats() const;  // on the stepping thread

 private:
  struct Active;
  using Clock = std::chrono::steady_clock;

  Engine(std::unique_ptr<Decoder> decoder, std::shared_ptr<const Tokenizer> tokenizer,
         std::shared_ptr<const ChatTemplate> chat_template, const EngineOptions& options,
         int64_t context_length);

  Status check(const Request& request) const;
  void accept_submitted();
  void obey_controls();
  void guess();
  void run_batch();
  bool constrain(Active& active, std::span<const uint64_t>& allowed);
  bool closes_thought_instead(Active& active, TokenId token);
  void take_logits(Active& active, std::span<const float> logits, int64_t n_guessed);
  void take_token(Active& active, TokenId token, bool forced,
                  std::optional<TokenLogprobs> logprobs);
  void close_thought_if_due(Active& active);
  void close_thought(Active& active);
  void send_text(Active& active, std::vector<TextDelta>& deltas);
  bool ends_turn(TokenId token) const;
  void finish(Active& active, FinishReason reason, std::string error = {});
  void fail_all(std::string_view message);
  void sweep_finished();
  Active* find(const Sequence* sequence);

  std::unique_ptr<Decoder> decoder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_template_;
  ThinkMarks marks_;
  std::vector<TokenId> stop_tokens_;         // the template's, beside the tokenizer's own
  std::vector<std::string> stop_spellings_;  // the template's that are no tokens here
  std::unique_ptr<AnswerConstraints> constraints_;
  int64_t context_length_;
  bool guess_ngrams_;
  int64_t n_guessed_ = 0;
  int64_t n_accepted_ = 0;
  Scheduler scheduler_;
  Sampler sampler_;
  std::vector<SequenceStep> steps_;
  std::vector<TokenId> step_tokens_;  // of steps_, each sequence's pending ones and its guess
  std::vector<float> logits_;         // [n wanted, vocab_size]
  std::map<RequestId, std::unique_ptr<Active>> active_;  // by age

  ControlTable controls_;
  std::mutex mutex_;  // over submitted_ and controls_' claim and release
  std::vector<std::unique_ptr<Active>> submitted_;
};

}  // namespace reckon
