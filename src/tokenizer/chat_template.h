// Conversations -> tokens, with the templates of the R1 family and its relatives written natively.
// The scaffold is tokenised with special tokens on, every piece of content with them off, so what a
// person types can never become a control token. docs/templates.md says what each template does.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

enum class Role { kSystem, kUser, kAssistant, kTool };

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON text, as the model wrote it or a client sent it
  std::string id;         // where a template shows it; none of the built-in ones does
};

struct Message {
  Role role = Role::kUser;
  // An assistant turn with tool calls and no content stands for a content of null.
  std::string content;
  std::vector<ToolCall> tool_calls;  // of an assistant turn
  std::string thought = {};          // of an assistant turn: kept to be read, never rendered
};

struct RenderOptions {
  bool add_generation_prompt = true;
  // R1's older form ends at <｜Assistant｜>: whether reckon opens <think>\n itself.
  bool open_thinking = true;
  // "26 Jul 2024", for templates that print a date (Llama 3.1); empty: the template's own default.
  std::string date;
  // Tool definitions, a JSON array, for templates that print them (renders_tools()); empty: none.
  std::string tools;
};

// A piece of a rendered prompt: scaffold (special tokens parsed) or content (never).
struct PromptPiece {
  std::string text;
  bool scaffold = false;
  // The beginning-of-sequence token: becomes the tokenizer's own, whatever its spelling there.
  bool bos = false;
};

struct ThinkMarks {
  std::string open;   // "<think>"; empty when the model does not think
  std::string close;  // "</think>"
};

// Immutable, safe to share between threads.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  // One of chat_template_names(), or "custom".
  virtual std::string_view name() const = 0;
  // Errors: kUsage when the conversation can't be rendered (a tool turn where the template has
  // none, several tool calls at once where it allows one, tools that aren't a JSON array).
  virtual Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                                  const RenderOptions& options) const = 0;
  virtual ThinkMarks think_marks() const = 0;
  // Spellings that end an assistant turn besides the tokenizer's EOS ("<|im_end|>").
  virtual std::vector<std::string> stop_spellings() const = 0;
  // Whether a prompt that asks for an answer ends inside an opened thought under these options. One
  // that ends in tool outputs may not: opens_thought() looks at the prompt itself.
  virtual bool opens_thinking(const RenderOptions& options) const = 0;
  // Whether RenderOptions::tools is printed. R1's published templates never do: a server puts the
  // definitions into the system text itself.
  virtual bool renders_tools() const = 0;
};

// All the pieces' text in one string: what apply_chat_template returns.
std::string render_text(const std::vector<PromptPiece>& pieces);
// Whether the pieces end in scaffold that has just opened a thought.
bool opens_thought(const std::vector<PromptPiece>& pieces, const ThinkMarks& marks);
// The pieces as tokens; a BOS that the scaffold writes is not doubled by the tokenizer's add_bos.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer,
                                   const std::vector<PromptPiece>& pieces);

// The built-in templates' names.
std::vector<std::string_view> chat_template_names();
// The template by name; kUsage error lists the names.
Result<std::shared_ptr<const ChatTemplate>> find_chat_template(std::string_view name);
// A JSON file that describes roles and separators (docs/templates.md). Errors: kBadFile.
Result<std::shared_ptr<const ChatTemplate>> load_chat_template_file(const std::string& path);
// The same from the file's text; `what` names it in errors.
Result<std::shared_ptr<const ChatTemplate>> parse_chat_template(std::string_view json,
                                                                std::string_view what);
// Recognises a model file's own tokenizer.chat_template (Jinja source, never executed). An unknown
// one is an error (kBadFile) that says how to name one.
Result<std::shared_ptr<const ChatTemplate>> recognise_chat_template(std::string_view jinja_source);

}  // namespace reckon
