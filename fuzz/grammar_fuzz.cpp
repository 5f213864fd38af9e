// Grammar texts and texts for them from arbitrary bytes: a grammar that is taken must be followed
// by any bytes, its masks must say what its bytes say, and forgetting must change nothing. The
// grammar ends at the first NUL.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "fuzz/byte_tokenizer.h"
#include "sampling/grammar_masks.h"

namespace reckon {
namespace {

void follow(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  static const auto tokenizer = fuzz::byte_tokenizer({"ab", "aa", "{\"", "\": ", "\\u00"});
  static const auto trie = std::make_shared<TokenTrie>(*tokenizer, std::vector<TokenId>{});
  const auto masks = std::make_shared<GrammarMasks>(grammar, trie, std::vector<TokenId>{});
  GrammarStates states(grammar);
  GrammarStates::StateId state = states.start();
  GrammarMatcher matcher(masks, false);
  size_t work = 0;
  for (const char c : text) {
    const auto bits = matcher.allowed();
    if (!bits.ok()) return;
    const auto byte = static_cast<uint8_t>(c);
    const bool allowed = ((*bits)[byte / 64] >> (byte % 64) & 1) != 0;
    GrammarStates::StateId copy = state;
    GrammarStates::StateId* const kept[] = {&copy};
    const GrammarStates::StateId next = states.next(state, byte, work);
    RECKON_CHECK(allowed == (next != GrammarStates::kDead));
    RECKON_CHECK(matcher.accept({&c, 1}) == allowed);
    RECKON_CHECK(matcher.may_end() == states.may_end(next));
    if (!allowed) return;
    const bool may_end = states.may_end(next);
    copy = next;
    states.keep_only(kept);
    state = copy;
    RECKON_CHECK(state != GrammarStates::kDead && states.may_end(state) == may_end);
  }
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t end = bytes.find('\0');
  const auto grammar = reckon::Grammar::parse(bytes.substr(0, end));
  if (!grammar.ok()) {
    RECKON_CHECK(!grammar.error().message.empty());
    return 0;
  }
  const std::string_view text =
      end == std::string_view::npos ? std::string_view() : bytes.substr(end + 1);
  reckon::follow(*grammar, text.substr(0, 256));
  return 0;
}
