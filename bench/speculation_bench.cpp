// Decoding with guesses beside decoding without, on a real model: the same prompts, turn by turn,
// medians. Outputs must be the same; where one ends in a loop it is cut off, because a loop is
// guessed too easily.
//
//   speculation_bench MODEL.gguf
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/conversation.h"
#include "engine/load.h"

namespace reckon {
namespace {

constexpr int64_t kMaxTokens = 200;
constexpr int kRepetitions = 9;
constexpr int64_t kLongestLoop = 48;

const std::string kPassage =
    "The tide came in before dawn and took the lower path with it. Marta waited on the wall until "
    "the light was good enough to see the boats, and counted eleven. There should have been "
    "twelve. She walked back to the harbour office, where the lamp was still burning, and wrote "
    "the number in the book under yesterday's date, because nobody had started a new page.";
const std::string kCode =
    "def total_price(items, tax_rate):\n"
    "    total = 0\n"
    "    for item in items:\n"
    "        if item.quantity > 0:\n"
    "            total = total + item.price * item.quantity\n"
    "    tax = total * tax_rate\n"
    "    return total + tax\n";

struct Prompt {
  const char* name;
  bool repeats_input;
  std::string text;
};

std::vector<Prompt> prompts() {
  return {
      {"repeat a passage", true,
       "Repeat the following text exactly, word for word:\n\n" + kPassage},
      {"correct a passage", true,
       "Correct the spelling of the following text and write the whole text again:\n\n"
       "The tide came in befor dawn and took the lower path with it. Marta waited on the wall "
       "until "
       "the lihgt was good enough to see the boats, and counted eleven."},
      {"repeat code", true, "Write out this function again, unchanged:\n\n" + kCode},
      {"rename in code", true,
       "Rewrite this function with the variable total renamed to amount:\n\n" + kCode},
      {"quote a sentence", true,
       "Quote the first two sentences of this text, and nothing else:\n\n" + kPassage},
      {"story", false, "Write a short story about a lighthouse keeper who finds a letter."},
      {"explain", false, "Explain why the sky is blue during the day and red at sunset."},
      {"list", false, "List ten things to take along on a week's hike in the mountains."},
      {"sum", false, "A train leaves at 9:40 and arrives at 13:15. How long does it take?"},
      {"letter", false, "Write a polite letter to a landlord about a broken heater."},
  };
}

// Up to where the output says nothing new any more: the length of all but the repetitions of a loop
// that it ends in.
int64_t length_without_loop(const std::vector<TokenId>& tokens) {
  const auto n = static_cast<int64_t>(tokens.size());
  int64_t shortest = n;
  for (int64_t period = 1; period <= kLongestLoop; ++period) {
    int64_t begin = n;  // tokens[begin..] repeat what stands `period` before them
    while (begin > period && tokens[static_cast<size_t>(begin - 1)] ==
                                 tokens[static_cast<size_t>(begin - 1 - period)]) {
      --begin;
    }
    if (n - begin >= 2 * period) shortest = std::min(shortest, begin);
  }
  return std::max<int64_t>(shortest, 1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Completion run(Engine& engine, const Prompt& prompt, int64_t max_tokens) {
  Message message;
  message.content = prompt.text;
  Result<Request> request =
      chat_request(engine.tokenizer(), *engine.chat_template(), {message}, {});
  if (!request.ok()) {
    fmt::print(stderr, "{}\n", request.error().message);
    std::exit(1);
  }
  request->sampling.temperature = 0;
  request->max_tokens = max_tokens;
  Result<Completion> completion = engine.generate(std::move(*request));
  if (!completion.ok()) {
    fmt::print(stderr, "{}\n", completion.error().message);
    std::exit(1);
  }
  return std::move(*completion);
}

std::unique_ptr<Engine> load(const char* path, bool guess) {
  LoadOptions options;
  options.context_length = 1024;
  options.guess_ngrams = guess;
  Result<LoadedEngine> loaded = load_engine(path, options);
  if (!loaded.ok()) {
    fmt::print(stderr, "{}\n", loaded.error().message);
    std::exit(1);
  }
  return std::move(loaded->engine);
}

int bench(const char* path) {
  const std::unique_ptr<Engine> plain = load(path, false);
  const std::unique_ptr<Engine> guessing = load(path, true);
  fmt::print("{:<20}{:>8}{:>12}{:>12}{:>8}{:>10}\n", "prompt", "tokens", "plain t/s", "ngram t/s",
             "ratio", "accepted");
  std::vector<double> repeating;
  double worst = 1e9;
  for (const Prompt& prompt : prompts()) {
    const int64_t n_tokens = length_without_loop(run(*plain, prompt, kMaxTokens).tokens);
    const EngineStats before = guessing->stats();
    if (run(*guessing, prompt, n_tokens).tokens != run(*plain, prompt, n_tokens).tokens) {
      fmt::print(stderr, "{}: the outputs differ\n", prompt.name);
      return 1;
    }
    const EngineStats after = guessing->stats();
    std::vector<double> ms[2];
    for (int i = 0; i < kRepetitions; ++i) {
      ms[0].push_back(run(*plain, prompt, n_tokens).timings.decode_ms);
      ms[1].push_back(run(*guessing, prompt, n_tokens).timings.decode_ms);
    }
    const double ratio = median(ms[0]) / median(ms[1]);
    const auto n = static_cast<double>(n_tokens - 1);  // the first comes out of the prefill
    fmt::print("{:<20}{:>8}{:>12.1f}{:>12.1f}{:>8.2f}{:>5} of {}\n", prompt.name, n_tokens,
               n / median(ms[0]) * 1e3, n / median(ms[1]) * 1e3, ratio,
               after.n_accepted - before.n_accepted, after.n_guessed - before.n_guessed);
    if (prompt.repeats_input) repeating.push_back(ratio);
    worst = std::min(worst, ratio);
  }
  fmt::print("prompts that repeat their input: median {:.2f}, least {:.2f}; least of all {:.2f}\n",
             median(repeating), *std::min_element(repeating.begin(), repeating.end()), worst);
  return 0;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: speculation_bench MODEL.gguf\n");
    return 2;
  }
  return reckon::bench(argv[1]);
}
