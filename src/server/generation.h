// One answer under way, whichever API asked for it: from what was asked (a GenerateSpec) to engine
// requests, and from the engine's events to the writer of that API's replies.
#pragma once

#include <atomic>
#include <boost/json/array.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "reasoning/tool_calls.h"
#include "sampling/sampling_params.h"
#include "server/api_keys.h"
#include "server/grammars.h"
#include "server/metrics.h"
#include "server/model_host.h"
#include "tokenizer/chat_template.h"

namespace reckon::server {

struct SamplingWishes {
  std::optional<double> temperature, top_p, min_p;
  std::optional<double> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, penalty_last_n;
  std::optional<uint64_t> seed;
  std::vector<LogitBias> logit_bias;
  int n_logprobs = -1;
};

// What a request calls the engine's fields, where it has names of its own for them.
using FieldNames = std::span<const std::pair<std::string_view, std::string_view>>;

struct GenerateSpec {
  std::string model;
  FieldNames field_names;
  std::optional<double> keep_alive_s;

  // Either messages or prompts.
  std::vector<Message> messages;
  std::optional<std::string> thought;  // go on from it
  std::string date;
  std::vector<std::string> prompts;  // each without a template
  std::vector<std::vector<TokenId>> token_prompts;

  boost::json::array tools;  // as OpenAI writes them; empty: none may be called
  bool must_call = false;    // one of them
  bool one_call = false;     // the answer ends behind the first
  // What the answer must be: a schema, or a grammar in GBNF; null and empty: anything.
  boost::json::value schema;
  std::string grammar;
  std::string format_field;  // of the two above, for errors

  SamplingWishes sampling;
  int64_t n = 1;
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> think_budget;
  std::optional<Effort> effort;
  int64_t min_think_tokens = 0;
  EarlyStop early_stop;
  PathOptions paths;
  std::vector<std::string> stop;
  std::optional<int64_t> context_wanted;  // Ollama's num_ctx
};

struct ChoiceEnd {
  FinishReason reason = FinishReason::kStop;
  bool cut = false;  // a path that the decided vote ended
  bool called_tools = false;
  std::string stop = {};  // the stop string that was met
  Usage usage;
  Timings timings;
  ThoughtEnd thought_end = ThoughtEnd::kNone;
};

// Sums over all choices and paths.
struct AnswerTotals {
  Usage usage;
  Timings timings;  // of the first choice; rates over all
  double total_ms = 0;
  ThoughtEnd thought_end = ThoughtEnd::kNone;              // of the last choice
  std::shared_ptr<const DeliberationReport> deliberation;  // null without paths or early stop
};

// A token that was drawn, and how likely it was.
struct DrawnToken {
  TokenId token = 0;
  TokenLogprobs logprobs;
};

// Writes one API's reply. Called on the model's thread; begin() before, under the queue's lock.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  virtual void begin(int64_t n_prompt_tokens) = 0;
  // drawn: the tokens that the text is of, where log-probabilities were asked for.
  virtual void text(size_t choice, Part part, std::string_view text,
                    std::vector<DrawnToken> drawn) = 0;
  virtual void tool_call(size_t choice, const ToolCall& call) = 0;
  // Of every choice but paths that never began.
  virtual void choice_end(size_t choice, const ChoiceEnd& end) = 0;
  virtual void done(const AnswerTotals& totals) = 0;
  // In place of done(): nothing more comes.
  virtual void fail(const ApiError& error) = 0;
};

class Generation;

// The answers under way by their ids, for control.
class RunningAnswers {
 public:
  void add(const std::string& id, std::weak_ptr<Generation> generation);
  void remove(const std::string& id);
  std::shared_ptr<Generation> find(const std::string& id) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Generation>> answers_;
};

// What all answers of a server share.
struct AnswerServices {
  Metrics& metrics;
  RunningAnswers& running;
  std::shared_ptr<ApiKeys> keys;  // null without keys
  const std::atomic<bool>& stopping;
  std::function<void(const std::string& line)> log;  // may be empty
  bool log_content;
};

class Generation final : public Work {
 public:
  struct Options {
    std::string id;   // the answer's, as clients see it
    std::string api;  // for the log: "openai.chat"
    const ApiKey* key = nullptr;
    bool parse_tools = false;
    bool one_call = false;
    size_t n_choices = 1;  // in all
    size_t n_choices_per_prompt = 1;
    // More than 1: paths of one request, of which every one is told as a choice.
    size_t n_paths = 1;
  };

  Generation(AnswerServices& services, HostLease host, Options options,
             std::unique_ptr<AnswerWriter> writer);
  ~Generation() override;

  // Before it is queued.
  void take(std::vector<Request> taken);

  void on_queued() override;
  void on_event(size_t choice, const Event& event) override;
  void on_refused(const ApiError& error) override;

  // A client's wish: it ends like an answer that is over.
  void stop();
  const Options& options() const { return options_; }
  ModelHost& host() const { return *host_; }

 private:
  struct Choice {
    explicit Choice(ToolFormat format) : tools(format) {}
    ToolCallParser tools;
    std::vector<DrawnToken> drawn;
    std::optional<Part> part;  // of the last text
    bool called = false;       // a tool
    // What was written, where the log tells it.
    std::string thinking;
    std::string answer;
  };

  void send_text(size_t choice, Part part, std::string_view text);
  void send_tool_events(size_t choice, std::vector<ToolEvent> events);
  void drop_silent_tokens(Choice& choice, const TextEvent& text) const;
  ChoiceEnd end_of(size_t choice, size_t path, const FinishedEvent& event) const;
  void finish(size_t choice, const FinishedEvent& event);
  void log(std::string_view outcome, const AnswerTotals& totals) const;
  boost::json::array logged_choices() const;

  AnswerServices& services_;
  HostLease host_;
  const Options options_;
  const ToolFormat format_;
  std::unique_ptr<AnswerWriter> writer_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::vector<Choice> choices_;  // grown as they come
  boost::json::array logged_prompts_;
  size_t n_ended_ = 0;
  AnswerTotals totals_;
  std::string error_;
  bool cancelled_ = false;
  std::atomic<bool> stopped_{false};
};

// The model's own sampling, and what a request wishes otherwise.
SamplingParams sampling_of(const SamplingWishes& wishes, const Engine& engine);

// The engine's requests for a spec: prompts rendered and tokenised, in the order of prompts, n of
// each. Errors: 400.
ApiResult<std::vector<Request>> build_requests(const GenerateSpec& spec, const Engine& engine,
                                               uint64_t cache_salt, GrammarCache& grammars);

// How many tokens the spec's prompt has. Errors: 400.
ApiResult<int64_t> count_prompt(const GenerateSpec& spec, const Engine& engine);

}  // namespace reckon::server
