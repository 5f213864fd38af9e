// Schemas from arbitrary bytes: each is refused with a message or compiled to a grammar, and what a
// model of random tokens says under that grammar is JSON; likewise regular expressions. Also tool
// calls: any text, cut anywhere, gives the same events, and calls' arguments are JSON objects. And
// definitions of tools, as system text. What comes after the first NUL chooses the tokens.
#include <fmt/format.h>

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
#include "sampling/json_schema_parts.h"

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

// A regular expression as the grammar of a JSON string; null when it is refused.
std::shared_ptr<const Grammar> pattern_grammar(std::string_view pattern) {
  const Result<std::string> inside = gbnf_pattern(pattern);
  RECKON_CHECK(inside.ok() || !inside.error().message.empty());
  if (!inside.ok()) return nullptr;
  const auto grammar = Grammar::parse(
      fmt::format("root ::= \"\\\"\" ({}) \"\\\"\"\nchar ::= {}\n", *inside, kJsonCharRule));
  return grammar.ok() ? *grammar : nullptr;  // too large
}

std::string said(ToolFormat format, std::string_view text, size_t cut) {
  ToolCallParser parser(format);
  std::vector<ToolEvent> events;
  parser.push(text.substr(0, cut), events);
  parser.push(text.substr(cut), events);
  parser.finish(events);
  std::string result;
  bool any_call = false;
  for (const ToolEvent& event : events) {
    if (const auto* plain = std::get_if<std::string>(&event)) {
      result += *plain;
    } else {
      const auto& call = std::get<ToolCall>(event);
      any_call = true;
      const auto arguments = parse_json(call.arguments, "arguments", 64);
      RECKON_CHECK(!call.name.empty() && arguments.ok() && arguments->is_object());
      result += '\0' + call.name + '\0' + call.arguments + '\0';
    }
  }
  RECKON_CHECK(parser.any_call() == any_call);
  return result;
}

void describe(std::string_view tools_json, ToolFormat format) {
  const Result<std::string> text = system_text_with_tools("Be kind.", tools_json, format);
  RECKON_CHECK(text.ok() ? text->starts_with("Be kind.") : !text.error().message.empty());
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t end = bytes.find('\0');
  for (const std::string_view name : {"deepseek-r1", "chatml", "llama3"}) {
    const reckon::ToolFormat format = reckon::tool_format(name);
    const std::string whole = reckon::said(format, bytes, bytes.size());
    RECKON_CHECK(reckon::said(format, bytes, bytes.size() / 2) == whole);
    RECKON_CHECK(reckon::said(format, bytes, bytes.size() / 3) == whole);
    reckon::describe(bytes.substr(0, end), format);
  }
  const std::string_view choices =
      end == std::string_view::npos ? std::string_view() : bytes.substr(end + 1).substr(0, 256);
  if (const auto pattern = reckon::pattern_grammar(bytes.substr(0, end))) {
    reckon::speak(pattern, choices);
  }
  const auto grammar = reckon::json_schema_grammar(bytes.substr(0, end));
  if (grammar.ok()) {
    reckon::speak(*grammar, choices);
  } else {
    RECKON_CHECK(!grammar.error().message.empty());
  }
  return 0;
}
