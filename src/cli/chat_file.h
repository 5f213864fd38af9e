// A conversation as a JSON file: what /save writes and /load reads.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "tokenizer/chat_template.h"

namespace reckon::cli {

// {"messages": [{"role": "user", "content": "…"}, …]}, and beside an assistant's content its
// thought as "reasoning_content": a line of what `reckon train sft` reads.
Status save_messages(const std::vector<Message>& messages, const std::string& path);
// Errors: kBadFile naming the field, what was expected and what was found.
Result<std::vector<Message>> load_messages(const std::string& path);

}  // namespace reckon::cli
