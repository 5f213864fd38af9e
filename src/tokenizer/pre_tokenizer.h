// Text -> pieces, each of which BPE then merges on its own: the pre-tokenizers by their GGUF names.
// Hand-written matchers that give what the reference's regular expressions give, in linear time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reckon {

enum class SplitRule : uint8_t { kQwen2, kLlama3, kDeepSeekV3, kSmolLm, kGpt2, kDefault };

// What a GGUF's tokenizer.ggml.pre stands for.
struct PreTokenizer {
  std::string_view name;
  SplitRule rule = SplitRule::kDefault;
  bool nfc = false;            // text is normalised first (docs/decisions/0003)
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool add_bos = false;        // where the file doesn't say
};

// The pre-tokenizer of that name, or null.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
// "deepseek-r1-qwen, qwen2, …", for messages.
std::string pre_tokenizer_names();

// Takes pieces; made from any callable that outlives the call.
class PieceSink {
 public:
  template <class Callable>
  explicit PieceSink(Callable& callable)
      : context_(&callable), call_([](void* context, std::string_view piece) {
          (*static_cast<Callable*>(context))(piece);
        }) {}
  void operator()(std::string_view piece) const { call_(context_, piece); }

 private:
  void* context_;
  void (*call_)(void* context, std::string_view piece);
};

// Calls sink with the pieces in order; together they are exactly text, and none is empty. A byte
// that isn't part of valid UTF-8 counts as a symbol, as U+FFFD would.
void split_pieces(SplitRule rule, std::string_view text, PieceSink sink);

}  // namespace reckon
