// Function calls in R1's own format: what a model is told of the functions it may call, and its
// answer's text told apart into words and calls while it streams. The published templates never
// print definitions, so they go into the system text.
//
//   <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
//   ```json
//   ARGUMENTS
//   ```<｜tool▁call▁end｜><｜tool▁calls▁end｜>
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"

namespace reckon::server {

struct ToolDefinition {
  std::string name;
  std::string description;
  std::string parameters;  // a JSON schema
};

enum class ToolChoice { kAuto, kNone, kRequired };

// The paragraph that tells a model of its functions. only: the one it has to call, or empty.
std::string tools_system_text(const std::vector<ToolDefinition>& tools, ToolChoice choice,
                              const std::string& only);

class ToolCallParser {
 public:
  struct Output {
    std::string text;             // of the answer, whole characters
    std::vector<ToolCall> calls;  // whose ends have come; ids are empty
  };

  // Takes the answer's next text.
  Output push(std::string_view text);
  // What was held back. What began like calls and is none comes out as text.
  Output finish();

 private:
  std::string held_;
  bool in_calls_ = false;
  bool any_call_ = false;
};

}  // namespace reckon::server
