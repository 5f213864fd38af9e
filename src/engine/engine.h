// The facade over decoder, tokenizer and sampling: takes requests, drives many of them at once step
// by step, and tells each one's events. The stepping thread does all the work; any thread may
// submit and control.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/energy_meter.h"
#include "base/result.h"
#include "engine/answer_constraint.h"
#include "engine/control_table.h"
#include "engine/deliberation.h"
#include "engine/draft.h"
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
  std::string model_name = {};  // the file's general.name: some models think in a way of their own
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
  // Each needs places in ControlTable for its paths and branches, too.
  static constexpr int64_t kMaxDeliberations = 128;

  // chat_template may be null: then no output is parsed for thoughts and only the tokenizer's own
  // end tokens end a turn. Errors: kUsage when options and decoder don't fit together, kBadFile
  // when the tokenizer's vocabulary is larger than the model's, kFailed when memory is short.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Decoder> decoder,
                                                std::shared_ptr<const Tokenizer> tokenizer,
                                                std::shared_ptr<const ChatTemplate> chat_template,
                                                const EngineOptions& options);
  ~Engine();

  // Guesses come from this smaller model from now on, rather than from n-grams. Its vocabulary must
  // agree with the tokenizer's (tokens_agree). Before the first step.
  void set_draft(std::unique_ptr<Draft> draft) { draft_ = std::move(draft); }

  // Queues a request. Any thread. Errors: kUsage naming the field (a prompt that fills the context
  // is refused with both numbers, never cut), kFailed when ControlTable::kSlots requests are in, or
  // kMaxDeliberations that deliberate. Those are several requests inside (engine/deliberation.h),
  // with one id and one stream of events outside.
  Result<RequestId> submit(Request request, EventSink sink);
  // submit()'s errors of the request itself, without submitting. Any thread.
  Status check(const Request& request) const;
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
  const std::string& model_name() const { return model_name_; }
  EngineStats stats() const;  // on the stepping thread

 private:
  struct Active;
  using Clock = std::chrono::steady_clock;

  Engine(std::unique_ptr<Decoder> decoder, std::shared_ptr<const Tokenizer> tokenizer,
         std::shared_ptr<const ChatTemplate> chat_template, const EngineOptions& options,
         int64_t context_length);

  Status check_thinking(const Request& request) const;
  Result<RequestId> submit_deliberation(Request request, EventSink sink);
  void deliberate();
  void accept_submitted();
  void obey_controls();
  void guess();
  std::span<const TokenId> guess_for(Active& active, int64_t n_max);
  void run_batch();
  bool constrain(Active& active, std::span<const uint64_t>& allowed);
  bool closes_thought_instead(Active& active, TokenId token);
  void take_logits(Active& active, std::span<const float> logits, int64_t n_guessed);
  SampledToken sample(Active& active, std::span<const float> logits,
                      std::span<const uint64_t> allowed);
  void take_token(Active& active, TokenId token, bool forced,
                  std::optional<TokenLogprobs> logprobs);
  void close_thought_if_due(Active& active);
  void force(Active& active, const std::vector<TokenId>& tokens);
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
  std::string model_name_;
  std::unique_ptr<Draft> draft_;  // may be null
  int64_t n_guessed_ = 0;
  int64_t n_accepted_ = 0;
  EnergyMeter energy_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::vector<SequenceStep> steps_;
  std::vector<TokenId> step_tokens_;  // of steps_, each sequence's pending ones and its guess
  std::vector<float> logits_;         // [n wanted, vocab_size]
  std::map<RequestId, std::unique_ptr<Active>> active_;       // by age
  std::vector<std::unique_ptr<Deliberation>> deliberations_;  // by age
  std::atomic<int64_t> n_deliberations_ = 0;                  // submitted ones too

  ControlTable controls_;
  std::mutex mutex_;  // over what is submitted and controls_' claim and release
  std::vector<std::unique_ptr<Active>> submitted_;
  std::vector<std::unique_ptr<Deliberation>> submitted_deliberations_;
};

}  // namespace reckon
