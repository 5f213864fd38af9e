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

// When a thought may be ended because its answer stands already: at the marks where it turns
// (reasoning/turn_marks.h) a side branch is made to answer at once, beside the path that goes on.
struct EarlyStop {
  enum class Rule : uint8_t {
    kOff,
    kConfident,  // the branch's tokens are likely enough (DEER, Yang et al. 2025); in a style with
                 // ProbeStyle::at_start only those of the branch before the first word
    kAgreed,     // several branches in a row gave the same answer (Dynasor, Fu et al. 2024)
    kEither,     // whichever comes first
  };
  Rule rule = Rule::kOff;
  double confidence = 0.95;       // the geometric mean of the answer's token probabilities
  int64_t agreeing = 3;           // branches in a row
  int64_t min_gap = 16;           // tokens of thought between two branches, at least
  int64_t max_probe_tokens = 32;  // of a branch's answer; a longer one tells nothing
  std::string style = {};         // find_probe_style()'s name; empty: the model's own
};

// Several thoughts about one question and a vote over their final answers.
struct PathOptions {
  int64_t n = 1;       // most paths
  int64_t window = 4;  // so many are begun at once, the next when those have ended; for kWindow two
                       // at least, for one answer always agrees with itself
  enum class Stop : uint8_t {
    kOff,        // all paths run
    kPosterior,  // the leader beats the second at `confidence` (Aggarwal et al. 2023), or nobody
                 // can catch it up any more
    kWindow,     // all answers of a window are the same (ESC, Li et al. 2024), or likewise
  };
  Stop stop = Stop::kPosterior;
  double confidence = 0.95;
  bool weighted = false;  // a vote weighs the geometric mean probability of its path's tokens
};

// A program that judges answers: one JSON line {"question", "answer", "text"} in, one out with
// "pass" (true or false), "score" (0 to 1) or both. Every answer gets a process of its own, without
// network and with limits (base/sandboxed_child.h). Never a path that a client sent.
struct Verification {
  std::string program;   // path of an executable; empty: none
  std::string question;  // as the person asked it
  int64_t time_ms = 10'000;
  int64_t memory_bytes = int64_t{1} << 30;
};

struct Request {
  std::vector<TokenId> prompt;  // BOS and all; engine/conversation.h renders messages
  // What the prompt's end means for the output (a rendered prompt may have opened the thought).
  ThinkingStart thinking = ThinkingStart::kPlain;
  std::string thought_so_far;  // text of the thought that the prompt already holds

  SamplingParams sampling;
  std::optional<int64_t> max_tokens;    // of the whole output; empty: until the context is full
  std::optional<int64_t> think_budget;  // of the thought; empty: no limit
  // From this share of think_budget on, the end of the thought becomes likelier with every token;
  // 1: not before the budget is spent, which always closes the thought.
  double soft_share = 0.8;
  std::string closing_sentence;  // said before a thought that is closed for the model
  // An earlier end of the thought is answered with "Wait".
  int64_t min_think_tokens = 0;
  EarlyStop early_stop;
  PathOptions paths;
  Verification verification;
  // End the answer before the first of these. They don't end the thought, where a model may well
  // mention them.
  std::vector<std::string> stop;
  // What the answer must be; null: anything. The thought stays free, and the turn can end exactly
  // where the grammar may. Requests that share the object share its masks.
  std::shared_ptr<const Grammar> constraint;
  // Requests share cached prefixes only with those of the same salt.
  uint64_t cache_salt = 0;

  // For requests that go on from another one's output: so many of the prompt's last tokens count as
  // output (for penalties), and what the running request `parent` has computed is shared.
  int64_t n_continued = 0;
  RequestId parent = 0;

  // Whether one sequence is not enough: several requests to the engine then stand for this one.
  bool deliberates() const {
    return early_stop.rule != EarlyStop::Rule::kOff || paths.n != 1 ||
           !verification.program.empty();
  }
};

// How much is thought, as a share of the tokens that the context, or max_tokens, leaves.
enum class Effort : uint8_t { kNone, kMinimal, kLow, kMedium, kHigh, kXhigh };
// "none", "minimal", "low", "medium", "high", "xhigh"; empty for anything else.
std::optional<Effort> parse_effort(std::string_view name);
// Sets think_budget, and for kNone closing_sentence (docs/thinking.md has the table). The prompt
// and max_tokens must be set.
void apply_effort(Effort effort, int64_t context_length, Request& request);

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
  // Tokens that went through the model: prompt, output, guesses; probes and all paths too.
  int64_t computed_tokens = 0;
  int64_t probe_tokens = 0;  // of those, the ones of side branches
  // Tokens generated and given up: of other paths, and beyond the place where a thought was
  // stopped.
  int64_t discarded_tokens = 0;
  // What was not generated, less probe_tokens (so it may be negative): of the budget, or of the
  // paths asked for at the mean length of those that ended. Empty: there is nothing to compare
  // with.
  std::optional<int64_t> saved_tokens;
  std::optional<double> joules;  // of the processor, where the machine tells
};

// Why a thought ended.
enum class ThoughtEnd : uint8_t {
  kNone,       // there was none, or it has not ended
  kOwn,        // the model closed it
  kBudget,     // think_budget
  kConfident,  // EarlyStop
  kAgreed,     // EarlyStop
  kVote,       // the vote over several paths was decided
  kVerified,   // another path's answer passed
  kAsked,      // answer_now()
};
// "none", "own", "budget", "confident", "agreed", "vote", "verified", "asked".
std::string_view thought_end_name(ThoughtEnd end);

// One path of a request that deliberates.
struct PathReport {
  std::string answer;  // as it was said; empty: none
  ThoughtEnd end = ThoughtEnd::kNone;
  // Its answer came to its own end: it votes and is verified if it says anything. Broken off
  // (FinishReason::kLength) it does neither.
  bool finished = false;
  FinishReason reason = FinishReason::kStop;  // kCancelled: ended before it counted
  PartCounts output;                          // of n_tokens
  int64_t n_tokens = 0;                       // generated and kept
  int64_t n_probes = 0;
  double weight = 1;           // of its vote
  std::optional<bool> passed;  // the verifier's verdict
  std::optional<double> score;
  std::string verifier_error;  // why there is no verdict
};

// One final answer that paths gave; the first of the list has won.
struct VoteCount {
  std::string answer;      // as its first path said it
  std::string normalised;  // reasoning/answer.h
  int64_t n_votes = 0;
  double weight = 0;  // sum over its votes
  double share = 0;   // weight / that of all votes
};

// What decided a vote before all paths had counted.
enum class VoteEnd : uint8_t {
  kNone,
  kPosterior,  // PathOptions::confidence
  kWindow,     // all answers of a window were the same
  kCertain,    // nobody could catch up
};

// How a request that deliberates was decided.
struct DeliberationReport {
  int64_t n_asked = 1;            // paths that were asked for
  std::vector<PathReport> paths;  // those that began
  int64_t chosen = 0;             // the path whose thought and answer were told
  std::vector<VoteCount> votes;   // by weight, ties by the first path that gave the answer
  bool decided_early = false;     // before all paths that were asked for had ended
  VoteEnd vote_end = VoteEnd::kNone;
  double posterior = 0;  // that the leader stays it, when sampling ended
  // Of the chosen path's last probes:
  double probe_confidence = 0;
  int64_t n_agreeing = 0;

  // How many paths had an answer that was counted.
  int64_t n_votes() const {
    int64_t n = 0;
    for (const VoteCount& vote : votes) n += vote.n_votes;
    return n;
  }
};

struct Timings {
  double wait_ms = 0;          // from submission to the first step
  double prefill_ms = 0;       // from there to the first token
  double decode_ms = 0;        // from there to the end, but for verify_ms
  double verify_ms = 0;        // in which nothing but a verifier's verdict was awaited
  int64_t prefill_tokens = 0;  // computed in prefill_ms
  int64_t decode_tokens = 0;   // generated in decode_ms: all but the first

  double total_ms() const { return wait_ms + prefill_ms + decode_ms + verify_ms; }
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
  bool forced = false;        // put in by the engine: closes the thought, or keeps it going
  std::optional<TokenLogprobs> logprobs;
};
struct TextEvent {
  Part part = Part::kAnswer;
  std::string_view text;  // whole UTF-8 characters; valid during the call
};
// Paths began or ended, or their tokens grew: what there is to see before the vote.
struct PathsEvent {
  int64_t n_paths = 0;  // asked for
  int64_t n_begun = 0;
  int64_t n_ended = 0;
  int64_t n_tokens = 0;     // generated by all of them
  std::string_view leader;  // the answer ahead; empty: none; valid during the call
  int64_t leader_votes = 0;
};
// What one path of several says, as it says it; the path that wins is told again, by TextEvents,
// once that is known.
struct PathTextEvent {
  int64_t path = 0;
  Part part = Part::kAnswer;
  std::string_view text;  // valid during the call
};
struct FinishedEvent {
  FinishReason reason = FinishReason::kStop;
  ThoughtEnd thought_end = ThoughtEnd::kNone;
  Usage usage;
  Timings timings;
  std::string error;  // for kError
  std::string stop;   // of Request::stop, the one that ended the answer; empty: none
  std::shared_ptr<const DeliberationReport> deliberation;  // null for requests without
};

using Event = std::variant<StartedEvent, PrefillEvent, TokenEvent, TextEvent, PathsEvent,
                           PathTextEvent, FinishedEvent>;
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
  ThoughtEnd thought_end = ThoughtEnd::kNone;
  Usage usage;
  Timings timings;
  std::shared_ptr<const DeliberationReport> deliberation;  // null for requests without
};

}  // namespace reckon
