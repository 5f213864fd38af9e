// A scripted model that thinks, answers, and answers a side branch's question after what it has
// thought by then.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "tests/engine/engine_fixture.h"

namespace reckon::testing {

// default_probe_style() of the fixture's template.
inline const std::string kLead = "The answer is ";

struct Story {
  std::string thought;
  // What it answers after a thought, and after one cut short by a branch's lead.
  std::function<std::string(const std::string& thought)> answer;
  std::function<std::string(const std::string& thought)> probe = {};
};

// Text of the tokens from `begin` on; special tokens show as '<', '>' and '$'.
inline std::string plain_text(const std::vector<TokenId>& tokens, size_t begin) {
  std::string text;
  for (size_t i = begin; i < tokens.size(); ++i) {
    const TokenId token = tokens[i];
    text += token < 256          ? std::string(1, static_cast<char>(token))
            : token == kThink    ? "<"
            : token == kThinkEnd ? ">"
                                 : "$";
  }
  return text;
}

// The script after a prompt of n_prompt tokens. story: by the output so far.
inline ScriptedDecoder::Script tell(size_t n_prompt,
                                    std::function<Story(const std::string& output)> story) {
  return [n_prompt, story](const std::vector<TokenId>& sequence) -> TokenId {
    const std::string output = plain_text(sequence, n_prompt);
    const Story now = story(output);
    const size_t mark = output.find('>');
    if (mark == std::string::npos) {
      return output.size() < now.thought.size() ? static_cast<uint8_t>(now.thought[output.size()])
                                                : kThinkEnd;
    }
    const std::string thought = output.substr(0, mark);
    std::string said = output.substr(mark + 1);
    said.erase(0, std::min(said.find_first_not_of('\n'), said.size()));
    const bool in_probe = now.probe && said.starts_with(kLead);
    const std::string wanted = in_probe ? kLead + now.probe(thought) : now.answer(thought);
    return said.size() < wanted.size() ? static_cast<uint8_t>(wanted[said.size()]) : kEos;
  };
}

inline ScriptedDecoder::Script tell(size_t n_prompt, const Story& story) {
  return tell(n_prompt, [story](const std::string&) { return story; });
}

inline Request thinking_request(std::string_view prompt, int64_t max_tokens = 400) {
  Request request = greedy_request(prompt, max_tokens);
  request.thinking = ThinkingStart::kOpened;
  return request;
}

}  // namespace reckon::testing
