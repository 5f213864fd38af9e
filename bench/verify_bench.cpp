// What speculation costs and brings on models of any weights: a step that judges several tokens
// beside a step of one, and whole replays in which a draft's tokens come true at a given rate.
//
//   verify_bench TARGET.gguf                steps of 1, 2, 4 and 8 tokens
//   verify_bench TARGET.gguf DRAFT.gguf     replays at 70, 80 and 90 % a token, too
//
// Steps go behind a prompt of 256 tokens, in turn, medians.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "engine/bench.h"
#include "engine/draft.h"
#include "engine/load.h"
#include "sampling/philox.h"

namespace reckon {
namespace {

constexpr int64_t kPrompt = 256;
constexpr int64_t kPositions = 512;
constexpr int kRounds = 15;
constexpr int64_t kReplayTokens = 64;
constexpr int64_t kMostTokens = GuessLength::kMaxGuess + 1;

[[noreturn]] void stop(const std::string& message) {
  fmt::print(stderr, "{}\n", message);
  std::exit(1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One sequence of made-up tokens.
class BenchSequence {
 public:
  explicit BenchSequence(const char* path) {
    LoadOptions options;
    options.needs_chat_template = false;
    Result<LoadedDecoder> loaded = load_decoder(path, options, kPositions);
    if (!loaded.ok()) stop(loaded.error().message);
    loaded_ = std::move(*loaded);
    const DecoderShape& shape = loaded_.decoder->shape();
    pages_.resize(static_cast<size_t>(kPositions / shape.page_positions));
    std::iota(pages_.begin(), pages_.end(), 0);
    logits_.resize(static_cast<size_t>(shape.vocab_size * kMostTokens));
    prompt();
  }

  // Reads the prompt anew; steps go on behind it.
  void prompt() {
    position_ = 0;
    step(kPrompt, 0);
  }
  // Milliseconds for a step of n tokens that wants the logits of n_logits of them. They take n_kept
  // positions: what was judged wrong is written over by the next step.
  double step(int64_t n, int64_t n_logits, int64_t n_kept) {
    const DecoderShape& shape = loaded_.decoder->shape();
    std::vector<TokenId> tokens(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      tokens[static_cast<size_t>(i)] =
          static_cast<TokenId>(((position_ + i) * 7919 + 1) % shape.vocab_size);
    }
    const SequenceStep one{
        .tokens = tokens, .first_position = position_, .pages = pages_, .n_logits = n_logits};
    const auto start = std::chrono::steady_clock::now();
    const Status status = loaded_.decoder->step(
        {&one, 1}, std::span(logits_).first(static_cast<size_t>(n_logits * shape.vocab_size)));
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
    if (!status.ok()) stop(status.error().message);
    position_ += n_kept;
    return ms.count();
  }
  double step(int64_t n, int64_t n_logits) { return step(n, n_logits, n); }

  int64_t weight_bytes() const { return weight_bytes_per_step(*loaded_.model); }
  const std::string& kernels() const { return loaded_.report.kernels; }
  int n_threads() const { return loaded_.report.n_threads; }

 private:
  LoadedDecoder loaded_;
  std::vector<PageId> pages_;
  std::vector<float> logits_;
  int64_t position_ = 0;
};

void verify_steps(BenchSequence& target) {
  const std::vector<int64_t> sizes = {1, 2, 4, 8};
  std::vector<std::vector<double>> ms(sizes.size());
  for (int round = 0; round < kRounds; ++round) {
    target.prompt();
    for (size_t i = 0; i < sizes.size(); ++i) ms[i].push_back(target.step(sizes[i], sizes[i]));
  }
  fmt::print("{:<24}{:>10}{:>24}\n", "tokens judged in a step", "ms", "by a step of one");
  for (size_t i = 0; i < sizes.size(); ++i) {
    fmt::print("{:<24}{:>10.1f}{:>24.2f}\n", sizes[i], median(ms[i]),
               median(ms[i]) / median(ms[0]));
  }
}

struct Replay {
  double decode_ms = 0;  // a token without a draft
  double ms = 0;         // a token with it
  int64_t n_steps = 0;
  int64_t n_guessed = 0;
  int64_t n_true = 0;
};

// Until kReplayTokens are written: each guess comes true with the probability `rate`, drawn once by
// a seed. The guesses are as long as the engine would make them.
Replay replay(BenchSequence& target, BenchSequence& draft, double step_cost, double rate) {
  Replay result;
  target.prompt();
  draft.prompt();
  GuessLength length(step_cost);
  uint64_t drawn = 0;
  int64_t unread = 1;
  int64_t n_written = 0;
  std::vector<double> decode;
  double ms = 0;
  while (n_written < kReplayTokens) {
    const int64_t n = length.best();
    int64_t n_true = 0;
    while (n_true < n && static_cast<double>(random_bits(17, drawn++)) * 0x1p-64 < rate) ++n_true;
    // The draft reads what it doesn't know and says n tokens, a step each.
    for (int64_t i = 0; i < n; ++i) {
      const int64_t n_read = i == 0 ? unread : 1;
      ms += draft.step(n_read, 1, i <= n_true ? n_read : 0);
    }
    // Of a guess that came true as a whole it hasn't read the last token.
    unread = n > 0 && n_true == n ? 2 : 1;
    ms += target.step(1 + n, 1 + n, 1 + n_true);
    length.learn(n, n_true);
    if (n == 0) length.skip();
    n_written += 1 + n_true;
    result.n_guessed += n;
    result.n_true += n_true;
    ++result.n_steps;
    decode.push_back(target.step(1, 1, 0));
  }
  result.decode_ms = median(decode);
  result.ms = ms / static_cast<double>(n_written);
  return result;
}

// Tokens a second by those without a draft, if a step took the time of its weights' reading however
// many tokens it judges: the best over all lengths of (1 + a + ... + a^k) / (1 + k c).
double in_theory(double rate, double step_cost) {
  double best = 1;
  double tokens = 1;
  double power = 1;
  for (int64_t k = 1; k <= GuessLength::kMaxGuess; ++k) {
    power *= rate;
    tokens += power;
    best = std::max(best, tokens / (1 + static_cast<double>(k) * step_cost));
  }
  return best;
}

void replays(BenchSequence& target, BenchSequence& draft) {
  const double step_cost =
      static_cast<double>(draft.weight_bytes()) / static_cast<double>(target.weight_bytes());
  fmt::print("\nthe draft reads {:.2f} of the bytes that the target reads a step\n", step_cost);
  fmt::print("{:<10}{:>14}{:>14}{:>14}{:>12}{:>16}{:>12}\n", "come true", "of guesses",
             "without, t/s", "with, t/s", "ratio", "tokens a step", "in theory");
  for (const double rate : {0.7, 0.8, 0.9}) {
    const Replay found = replay(target, draft, step_cost, rate);
    fmt::print(
        "{:<10}{:>8} of {:<3}{:>13.2f}{:>14.2f}{:>12.2f}{:>16.2f}{:>12.2f}\n",
        fmt::format("{:.0f} %", 100 * rate), found.n_true, found.n_guessed, 1e3 / found.decode_ms,
        1e3 / found.ms, found.decode_ms / found.ms,
        static_cast<double>(found.n_true + found.n_steps) / static_cast<double>(found.n_steps),
        in_theory(rate, step_cost));
  }
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    fmt::print(stderr, "usage: verify_bench TARGET.gguf [DRAFT.gguf]\n");
    return 2;
  }
  reckon::BenchSequence target(argv[1]);
  fmt::print("{} threads, {}\n", target.n_threads(), target.kernels());
  reckon::verify_steps(target);
  if (argc == 3) {
    reckon::BenchSequence draft(argv[2]);
    reckon::replays(target, draft);
  }
  return 0;
}
