// What an engine is asked for and what it tells while it works: requests, events, completions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reasoning/thinking_tracker.h"
#include "sampling/grammar.h"
#include "sampling/sampler.h"
#include "sampling/sampling_params.h"
#include "tokenizer/token.h"

namespace reckon {

using RequestId = uint64_t;  // never 0

struct Request {
  std::vector<TokenId> prompt;  // BOS and all; engine/conversation.h renders messages
  // What the prompt's end means for the output (a rendered prompt may have opened the thought).
  ThinkingStart thinking = ThinkingStart::kPlain;
  std::string thought_so_far;  // text of the thought that the prompt already holds

  SamplingParams sampling;
  std::optional<int64_t> max_tokens;    // of the whole output; empty: until the context is full
  std::optional<int64_t> think_budget;  // of the thought; empty: no limit
  // End the answer before the first of these. They don't end the thought, where a model may well
  // mention them.
  std::vector<std::string> stop;
  // What the answer must be; null: anything. The thought stays free, and the turn can end exactly
  // where the grammar may. Requests that share the object share its masks.
  std::shared_ptr<const Grammar> constraint;
  // Requests share cached prefixes only with those of the same salt.
  uint64_t cache_salt = 0;
};

enum class FinishReason : uint8_t {
  kStop,       // the model ended its turn, or a stop string was met
  kLength,     // max_tokens, or the context is full
  kCancelled,  // cancel()
  kError,      // the decoder failed, or the constraint can't be followed
};
// "stop", "length", "cancelled", "error".
std::string_view finish_reason_name(FinishReason reason);

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, taken from the prefix cache
  PartCounts output;          // output.total() tokens were generated
};

struct Timings {
  double wait_ms = 0;          // from submission to the first step
  double prefill_ms = 0;       // from there to the first token
  double decode_ms = 0;        // from there to the end
  int64_t prefill_tokens = 0;  // computed in prefill_ms
  int64_t decode_tokens = 0;   // generated in decode_ms: all but the first

  // Tokens a second; 0 when nothing was measured.
  double prefill_rate() const { return rate(prefill_tokens, prefill_ms); }
  double decode_rate() const { return rate(decode_tokens, decode_ms); }

  static double rate(int64_t n_tokens, double ms) {
    return ms > 0 ? 1e3 * static_cast<double>(n_tokens) / ms : 0;
  }
};

// The engine knows the request now; its id may be used for control.
struct StartedEvent {};
// A chunk of the prompt was computed.
struct PrefillEvent {
  int64_t done = 0;
  int64_t total = 0;
};
struct TokenEvent {
  TokenId token = 0;
  Part part = Part::kAnswer;  // the part it began in
  bool forced = false;        // put in by the engine to close the thought
  std::optional<TokenLogprobs> logprobs;
};
struct TextEvent {
  Part part = Part::kAnswer;
  std::string_view text;  // whole UTF-8 characters; valid during the call
};
struct FinishedEvent {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  Timings timings;
  std::string error;  // for kError
};

using Event = std::variant<StartedEvent, PrefillEvent, TokenEvent, TextEvent, FinishedEvent>;
// Called on the thread that steps the engine; FinishedEvent comes last, once. Must not throw, step
// the engine or destroy it; may submit and control.
using EventSink = std::function<void(RequestId, const Event&)>;

// A whole answer, gathered from the events.
struct Completion {
  std::string thinking;
  std::string answer;
  std::vector<TokenId> tokens;          // as generated, forced ones and the end token too
  std::vector<TokenLogprobs> logprobs;  // of the sampled tokens, if asked for
  FinishReason finish_reason = FinishReason::kStop;
  Usage usage;
  Timings timings;
};

}  // namespace reckon
