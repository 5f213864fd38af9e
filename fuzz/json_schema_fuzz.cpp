// Schemas from arbitrary bytes: each is refused with a message or compiled to a grammar, and what a
// model of random tokens says under that grammar is JSON. Also tool calls: any text, cut anywhere,
// gives the same events, and calls' arguments are JSON objects. What comes after the first NUL
// chooses the tokens.
#include <boost/json/parse.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "fuzz/byte_tokenizer.h"
#include "reasoning/tool_calls.h"
#include "sampling/grammar_masks.h"
#include "sampling/json_schema.h"

namespace reckon {
namespace {

void speak(const std::shared_ptr<const Grammar>& grammar, std::string_view choices) {
  static const auto tokenizer = fuzz::byte_tokenizer({"{\"", "\": ", "\",", "[]", "\\u00", "nul"});
  static const auto trie = std::make_shared<TokenTrie>(*tokenizer, std::vector<TokenId>{});
  GrammarMatcher matcher(std::make_shared<GrammarMasks>(grammar, trie, std::vector<TokenId>{}),
                         false);
  std::string text;
  for (const char choice : choices) {
    const auto bits = matcher.allowed();
    if (!bits.ok()) return;
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
      if (((*bits)[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) allowed.push_back(id);
    }
    if (allowed.empty()) {
      // A dead end only by the limits on depth and readings.
      RECKON_CHECK(matcher.may_end() || text.size() > 8);
      break;
    }
    const TokenId next = allowed[static_cast<uint8_t>(choice) % allowed.size()];
    RECKON_CHECK(matcher.accept(tokenizer->bytes(next)));
    text += tokenizer->bytes(next);
    if (!matcher.may_end()) continue;
    boost::json::error_code error;
    boost::json::parse_options options;
    options.max_depth = 2000;
    static_cast<void>(boost::json::parse(text, error, {}, options));
    RECKON_CHECK(!error);
  }
}

std::string said(ToolFormat format, std::string_view text, size_t cut) {
  ToolCallParser parser(format);
  std::vector<ToolEvent> events;
  parser.push(text.substr(0, cut), events);
  parser.push(text.substr(cut), events);
  parser.finish(events);
  std::string result;
  for (const ToolEvent& event : events) {
    if (const auto* plain = std::get_if<std::string>(&event)) {
      result += *plain;
    } else {
      const auto& call = std::get<ToolCall>(event);
      const auto arguments = parse_json(call.arguments, "arguments", 64);
      RECKON_CHECK(!call.name.empty() && arguments.ok() && arguments->is_object());
      result += '\0' + call.name + '\0' + call.arguments + '\0';
    }
  }
  return result;
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const reckon::ToolFormat format :
       {reckon::ToolFormat::kR1, reckon::ToolFormat::kHermes, reckon::ToolFormat::kLlama3}) {
    const std::string whole = reckon::said(format, bytes, bytes.size());
    RECKON_CHECK(reckon::said(format, bytes, bytes.size() / 2) == whole);
    RECKON_CHECK(reckon::said(format, bytes, bytes.size() / 3) == whole);
  }
  const size_t end = bytes.find('\0');
  const auto grammar = reckon::json_schema_grammar(bytes.substr(0, end));
  if (!grammar.ok()) {
    RECKON_CHECK(!grammar.error().message.empty());
  } else if (end != std::string_view::npos) {
    reckon::speak(*grammar, bytes.substr(end + 1).substr(0, 256));
  }
  return 0;
}
