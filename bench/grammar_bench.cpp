// What a constraint costs a decoded token: masks over a real vocabulary, along JSON documents that
// each schema accepts. The slowest step is one in a state that no step was in before.
//
//   grammar_bench MODEL.gguf      (only its vocabulary is read)
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "sampling/grammar_masks.h"
#include "sampling/json_schema.h"
#include "sampling/sampler.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

// Processor time, which others on the machine take no part of.
double ms_since(std::clock_t begin) {
  return 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

template <class T>
T value_or_exit(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }
  return std::move(*result);
}

const std::string kPerson = R"({"type":"object","properties":{
  "name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
  "email":{"type":"string","format":"email"},
  "address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string",
    "maxLength":60}},"required":["street","city"]},
  "tags":{"type":"array","items":{"enum":["reader","writer","editor","guest"]}},
  "notes":{"type":"array","items":{"type":"string"}}},
  "required":["name","age","address","tags"],"additionalProperties":false})";
const std::string kPersonText = R"({
  "name": "Johann Wolfgang von Goethe",
  "age": 82,
  "email": "goethe@example.org",
  "address": {
    "street": "Frauenplan 1, where the garden gate stands open in summer",
    "city": "Weimar in Thüringen"
  },
  "tags": ["writer", "reader"],
  "notes": ["Wrote Faust over most of his life.", "Collected stones; disagreed with Newton."]
})";

void follow(const char* name, const std::shared_ptr<const Grammar>& grammar,
            const std::shared_ptr<const TokenTrie>& trie, const Tokenizer& tokenizer,
            const std::string& text) {
  const auto masks =
      std::make_shared<GrammarMasks>(grammar, trie, std::vector<TokenId>{tokenizer.eos()});
  std::vector<TokenId> tokens;
  tokenizer.encode(text, SpecialTokens::kAsText, tokens);
  for (const char* round : {"first time", "again"}) {
    GrammarMatcher matcher(masks, false);
    std::vector<double> times_ms;
    for (const TokenId token : tokens) {
      const std::clock_t begin = std::clock();
      const auto bits = value_or_exit(matcher.allowed());
      const bool set = (bits[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
      const bool fits = matcher.accept(tokenizer.bytes(token));
      times_ms.push_back(ms_since(begin));
      if (!set || !fits) {
        fmt::print(stderr, "{}: token {} is not allowed\n", name, tokenizer.bytes(token));
        std::exit(1);
      }
    }
    std::sort(times_ms.begin(), times_ms.end());
    double sum_ms = 0;
    for (const double t : times_ms) sum_ms += t;
    fmt::print("{:12} {:10} {:4} tokens  mean {:.3f} ms  median {:.3f} ms  slowest {:.3f} ms\n",
               name, round, tokens.size(), sum_ms / static_cast<double>(tokens.size()),
               times_ms[times_ms.size() / 2], times_ms.back());
  }
}

int run(const std::string& path) {
  const auto file = value_or_exit(GgufFile::open(path, GgufData::kMayBeMissing));
  const auto tokenizer = value_or_exit(Tokenizer::from_gguf(*file));
  std::clock_t begin = std::clock();
  const auto trie = std::make_shared<TokenTrie>(*tokenizer, std::vector<TokenId>{});
  fmt::print("{} tokens, {} nodes, built in {:.0f} ms\n", tokenizer->vocab_size(),
             trie->nodes().size(), ms_since(begin));
  begin = std::clock();
  const auto person = value_or_exit(json_schema_grammar(std::string_view(kPerson)));
  fmt::print("schema compiled in {:.2f} ms, {} nodes\n", ms_since(begin), person->n_nodes());
  follow("schema", person, trie, *tokenizer, kPersonText);
  follow("json_object", json_object_grammar(), trie, *tokenizer, kPersonText);
  follow("any text", value_or_exit(Grammar::parse("root ::= .*")), trie, *tokenizer, kPersonText);

  // What the sampler does with a mask.
  Sampler sampler(tokenizer->vocab_size());
  std::vector<float> logits(static_cast<size_t>(tokenizer->vocab_size()));
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 1000) / 100;
  const std::vector<uint64_t> half(logits.size() / 64 + 1, 0x5555555555555555u);
  SamplingParams params;
  params.temperature = 0.6;
  params.top_p = 0.95;
  for (const bool masked : {false, true}) {
    std::vector<double> times_ms;
    for (int i = 0; i < 200; ++i) {
      begin = std::clock();
      sampler.sample(params, logits, {},
                     masked ? std::span<const uint64_t>(half) : std::span<const uint64_t>());
      times_ms.push_back(ms_since(begin));
    }
    std::sort(times_ms.begin(), times_ms.end());
    fmt::print("sampling {}: median {:.3f} ms\n", masked ? "with half the tokens" : "freely",
               times_ms[times_ms.size() / 2]);
  }
  return 0;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: grammar_bench MODEL.gguf\n");
    return 2;
  }
  return reckon::run(argv[1]);
}
