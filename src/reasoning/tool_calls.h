// Tool calls in an answer's text: told apart from the text around them as it streams, whichever way
// tokens and chunks fall. And the other way: tool definitions as system text, for templates that
// don't print them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tokenizer/chat_template.h"

namespace reckon {

// How a family of models writes a call.
enum class ToolFormat : uint8_t {
  kR1,  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGS\n```…
  kHermes,  // <tool_call>{"name": …, "arguments": {…}}</tool_call>: Qwen 2.5 and others in ChatML
  kLlama3,  // the whole answer is {"name": …, "parameters": {…}}, maybe behind <|python_tag|>
};
// By the chat template's name.
ToolFormat tool_format(std::string_view template_name);

// What the parser hands out: text of the answer, or a whole call. A call's arguments are one JSON
// object in valid UTF-8, otherwise it is handed out as the text it came as; its id stays empty.
using ToolEvent = std::variant<std::string, ToolCall>;

class ToolCallParser {
 public:
  explicit ToolCallParser(ToolFormat format) : format_(format) {}

  // Takes the answer's next text (TextEvents of Part::kAnswer). Holds back what may be part of a
  // call: at most one call, or a proper beginning of a mark.
  void push(std::string_view text, std::vector<ToolEvent>& out);
  // The answer has ended: hands out what was held back. A call that is whole but for its end marks
  // counts.
  void finish(std::vector<ToolEvent>& out);

  bool any_call() const { return n_calls_ > 0; }

 private:
  bool step(std::vector<ToolEvent>& out);
  bool step_between(std::vector<ToolEvent>& out);
  void take_call(size_t body, size_t end, size_t next, std::vector<ToolEvent>& out);
  void emit_text(std::string_view text, std::vector<ToolEvent>& out);

  ToolFormat format_;
  std::string held_;
  size_t scanned_ = 0;     // held_[0, scanned_) has been searched for the call's end
  bool in_calls_ = false;  // kR1: between the marks of the list
  bool gave_up_ = false;   // kLlama3: the answer is no call
  int64_t n_in_list_ = 0;  // kR1: what has come of the list, as calls or as text
  int64_t n_calls_ = 0;
};

// The definitions (OpenAI's `tools`, a JSON array) as text for the system message, with how to call
// them in this format; it follows `system`, which may be empty. Errors: kUsage naming the field.
// Only for templates whose renders_tools() is false.
Result<std::string> system_text_with_tools(std::string_view system, std::string_view tools_json,
                                           ToolFormat format);

}  // namespace reckon
