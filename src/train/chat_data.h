// Conversations in JSON lines -> training examples: one for each assistant turn, rendered by the
// engine's own chat templates, so that what is learned is what the engine will ask for.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "train/batch.h"

namespace reckon::train {

// Splits a text into its lines that aren't blank, each with its number (from 1).
struct NumberedLine {
  int64_t number = 0;
  std::string_view text;
};
std::vector<NumberedLine> numbered_lines(std::string_view text);

// The token that ends an assistant turn: the template's, if the vocabulary has it, else the
// tokenizer's end of turn or of text. Errors: kBadFile when there is none.
Result<TokenId> end_of_turn(const Tokenizer& tokenizer, const ChatTemplate& chat_template);

// {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "...",
// "reasoning_content": "..."}, ...]}; other fields are left alone. Learned are an assistant turn's
// own tokens: the thought, its end mark, the answer, the end of the turn. Where the template opens
// a thought and a turn has no reasoning_content, the empty thought is given and not learned: the
// answer straight away. what names the line in errors. Errors: kBadFile.
Result<std::vector<Example>> examples_of(const boost::json::object& line, std::string_view what,
                                         const Tokenizer& tokenizer,
                                         const ChatTemplate& chat_template);

struct ChatDataOptions {
  int64_t max_tokens = 0;  // of an example
  bool skip_long = false;  // leave longer ones out; otherwise they are errors
};
struct ChatData {
  std::vector<Example> examples;
  int64_t n_skipped = 0;
};
// Appends a file's examples. Errors: kBadFile naming file and line.
Status read_chat_data(const std::string& path, const Tokenizer& tokenizer,
                      const ChatTemplate& chat_template, const ChatDataOptions& options,
                      ThreadPool& pool, ChatData& data);

}  // namespace reckon::train
