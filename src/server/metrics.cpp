// Counters since the start, and what the models in memory say of themselves now.
#include "server/metrics.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

namespace reckon::server {
namespace {

void add(std::string& text, std::string_view name, std::string_view type, std::string_view help,
         double value) {
  text += fmt::format("# HELP reckon_{0} {1}\n# TYPE reckon_{0} {2}\nreckon_{0} {3}\n", name, help,
                      type, value);
}

// A label's value: a model's name holds no more than check_model_name lets through, paths may.
std::string label(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

template <class Value>
void add_by_model(std::string& text, std::string_view name, std::string_view type,
                  std::string_view help, const std::vector<LoadedModel>& models,
                  const Value& value) {
  text += fmt::format("# HELP reckon_{0} {1}\n# TYPE reckon_{0} {2}\n", name, help, type);
  for (const LoadedModel& model : models) {
    text += fmt::format("reckon_{}{{model=\"{}\"}} {}\n", name, label(model.name), value(model));
  }
}

double rate(int64_t n, int64_t us) {
  return us > 0 ? 1e6 * static_cast<double>(n) / static_cast<double>(us) : 0;
}

}  // namespace

void Metrics::count(FinishReason reason, const Usage& usage, const Timings& timings) {
  switch (reason) {
    case FinishReason::kCancelled: ++answers_cancelled; break;
    case FinishReason::kError: ++answers_failed; break;
    default: ++answers_finished; break;
  }
  prompt_tokens += usage.prompt_tokens;
  cached_tokens += usage.cached_tokens;
  completion_tokens += usage.output.total();
  reasoning_tokens += usage.output.thinking;
  prefill_us += static_cast<int64_t>(timings.prefill_ms * 1e3);
  decode_us += static_cast<int64_t>(timings.decode_ms * 1e3);
}

std::string Metrics::text(const ModelPool& pool) const {
  const auto value = [](const std::atomic<int64_t>& counter) {
    return static_cast<double>(counter.load());
  };
  std::string text;
  add(text, "requests_total", "counter", "HTTP requests", value(requests));
  add(text, "refused_foreign_total", "counter", "Refused for their Host or Origin",
      value(refused_foreign));
  add(text, "refused_key_total", "counter", "Refused without a valid key", value(refused_key));
  add(text, "refused_limit_total", "counter", "Answered 429", value(refused_limit));
  add(text, "answers_started_total", "counter", "Answers begun", value(answers_started));
  add(text, "answers_finished_total", "counter", "Answers ended by the model or a limit",
      value(answers_finished));
  add(text, "answers_cancelled_total", "counter", "Answers stopped", value(answers_cancelled));
  add(text, "answers_failed_total", "counter", "Answers that failed", value(answers_failed));
  add(text, "prompt_tokens_total", "counter", "Tokens of prompts", value(prompt_tokens));
  add(text, "prompt_tokens_cached_total", "counter", "Of those, found in the prefix cache",
      value(cached_tokens));
  add(text, "completion_tokens_total", "counter", "Tokens generated", value(completion_tokens));
  add(text, "reasoning_tokens_total", "counter", "Of those, of thoughts", value(reasoning_tokens));
  add(text, "prefill_tokens_per_second", "gauge", "Tokens of prompts, over all answers so far",
      rate(prompt_tokens - cached_tokens, prefill_us));
  add(text, "decode_tokens_per_second", "gauge", "Of one answer, over all so far",
      rate(completion_tokens, decode_us));

  const std::vector<LoadedModel> models = pool.list();
  add_by_model(text, "queued_requests", "gauge", "Requests that wait for a slot", models,
               [](const LoadedModel& m) { return m.stats.n_queued; });
  add_by_model(text, "running_sequences", "gauge", "Answers being computed", models,
               [](const LoadedModel& m) { return m.stats.n_running; });
  add_by_model(text, "kv_pages", "gauge", "Pages of the KV cache", models,
               [](const LoadedModel& m) { return m.stats.engine.n_pages; });
  add_by_model(text, "kv_pages_free", "gauge", "Of those, free", models,
               [](const LoadedModel& m) { return m.stats.engine.n_free_pages; });
  add_by_model(text, "preemptions_total", "counter", "Answers set back for want of pages", models,
               [](const LoadedModel& m) { return m.stats.engine.n_preemptions; });
  add_by_model(text, "guessed_tokens_total", "counter", "Tokens computed ahead", models,
               [](const LoadedModel& m) { return m.stats.engine.n_guessed; });
  add_by_model(text, "accepted_tokens_total", "counter", "Of those, come true", models,
               [](const LoadedModel& m) { return m.stats.engine.n_accepted; });
  return text;
}

}  // namespace reckon::server
