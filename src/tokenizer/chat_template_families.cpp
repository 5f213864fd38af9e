// The R1, ChatML and Llama 3 templates: what their published Jinja sources write, said as loops
// over messages. Where a published template does something odd (R1 leaves a single tool call
// without its end mark), so does its native form: the model was trained on, or is used with,
// exactly that text.
#include "tokenizer/chat_template_families.h"

#include <fmt/format.h>

#include <utility>

#include "tokenizer/chat_template_python.h"

namespace reckon {
namespace {

// Arguments that aren't JSON are shown as a JSON string, as a client's library would pass them.
std::string json_arguments(const ToolCall& call) {
  std::optional<std::string> json = python_json(call.arguments);
  return json ? *std::move(json) : python_json_string(call.arguments);
}

// -- DeepSeek R1 and its distills -----------------------------------------------------------------

class DeepSeekR1 final : public ChatTemplate {
 public:
  explicit DeepSeekR1(bool template_opens) : template_opens_(template_opens) {}

  std::string_view name() const override {
    return template_opens_ ? "deepseek-r1" : "deepseek-r1-older";
  }
  ThinkMarks think_marks() const override { return {"<think>", "</think>"}; }
  std::vector<std::string> stop_spellings() const override { return {"<｜end▁of▁sentence｜>"}; }
  bool opens_thinking(const RenderOptions& options) const override {
    return options.add_generation_prompt && (template_opens_ || options.open_thinking);
  }
  bool renders_tools() const override { return false; }

  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    PromptBuilder out;
    out.bos("<｜begin▁of▁sentence｜>");
    for (size_t i = messages.size(); i-- > 0;) {  // the last system message is the one that counts
      if (messages[i].role != Role::kSystem) continue;
      out.content(messages[i].content);
      break;
    }
    State state;
    for (const Message& message : messages) render_message(message, state, out);
    if (state.in_outputs) out.scaffold("<｜tool▁outputs▁end｜>");
    if (options.add_generation_prompt && !state.in_outputs) {
      out.scaffold("<｜Assistant｜>");
      if (opens_thinking(options)) out.scaffold("<think>\n");
    }
    return out.take();
  }

 private:
  // Both "first" flags stay down once a call or an output was written, in later turns too.
  struct State {
    bool any_call = false;
    bool any_output = false;
    bool in_outputs = false;
  };

  static void render_message(const Message& message, State& state, PromptBuilder& out) {
    switch (message.role) {
      case Role::kSystem: break;
      case Role::kUser:
        state.in_outputs = false;
        out.scaffold("<｜User｜>").content(message.content);
        break;
      case Role::kAssistant:
        if (message.content.empty() && !message.tool_calls.empty()) {
          state.in_outputs = false;
          for (const ToolCall& call : message.tool_calls) render_call(call, state, out);
        } else if (state.in_outputs) {
          state.in_outputs = false;
          out.scaffold("<｜tool▁outputs▁end｜>").content(message.content);
          out.scaffold("<｜end▁of▁sentence｜>");
        } else {
          out.scaffold("<｜Assistant｜>").content(without_thought(message.content));
          out.scaffold("<｜end▁of▁sentence｜>");
        }
        break;
      case Role::kTool:
        out.scaffold(state.any_output ? "\n<｜tool▁output▁begin｜>"
                                      : "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>");
        out.content(message.content).scaffold("<｜tool▁output▁end｜>");
        state.any_output = true;
        state.in_outputs = true;
        break;
    }
  }

  static void render_call(const ToolCall& call, State& state, PromptBuilder& out) {
    const bool first = !std::exchange(state.any_call, true);
    out.scaffold(first ? "<｜Assistant｜><｜tool▁calls▁begin｜>" : "\n");
    out.scaffold("<｜tool▁call▁begin｜>function<｜tool▁sep｜>").content(call.name);
    out.scaffold("\n```json\n").content(call.arguments).scaffold("\n```<｜tool▁call▁end｜>");
    if (!first) out.scaffold("<｜tool▁calls▁end｜><｜end▁of▁sentence｜>");
  }

  static std::string_view without_thought(std::string_view content) {
    constexpr std::string_view kClose = "</think>";
    const size_t at = content.rfind(kClose);
    return at == std::string_view::npos ? content : content.substr(at + kClose.size());
  }

  bool template_opens_;
};

// -- ChatML ---------------------------------------------------------------------------------------

class ChatMl final : public ChatTemplate {
 public:
  ChatMl(std::string_view name, ChatMlKind kind, std::string default_system)
      : name_(name), kind_(kind), default_system_(std::move(default_system)) {}

  std::string_view name() const override { return name_; }
  ThinkMarks think_marks() const override { return {}; }
  std::vector<std::string> stop_spellings() const override { return {"<|im_end|>"}; }
  bool opens_thinking(const RenderOptions&) const override { return false; }
  bool renders_tools() const override { return kind_ == ChatMlKind::kQwen25; }

  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    PromptBuilder out;
    if (kind_ == ChatMlKind::kQwen25) {
      if (messages.empty()) return usage_error("an empty conversation: this template needs a turn");
      RECKON_RETURN_IF_ERROR(render_qwen_system(messages, options, out));
      for (size_t i = 0; i < messages.size(); ++i) render_qwen_turn(messages, i, out);
    } else {
      if (kind_ == ChatMlKind::kDefault && !messages.empty() && messages[0].role != Role::kSystem) {
        out.scaffold("<|im_start|>system\n").content(default_system_).scaffold("<|im_end|>\n");
      }
      for (const Message& message : messages) render_turn(message, out);
    }
    if (options.add_generation_prompt) out.scaffold("<|im_start|>assistant\n");
    return out.take();
  }

 private:
  static void render_turn(const Message& message, PromptBuilder& out) {
    out.scaffold(fmt::format("<|im_start|>{}\n", role_name(message.role)));
    out.content(message.content).scaffold("<|im_end|>\n");
  }

  Status render_qwen_system(const std::vector<Message>& messages, const RenderOptions& options,
                            PromptBuilder& out) const {
    std::vector<std::string> tools;
    if (!options.tools.empty()) {
      RECKON_ASSIGN(tools, python_json_elements(options.tools, 0, "tools"));
    }
    out.scaffold("<|im_start|>system\n");
    out.content(messages[0].role == Role::kSystem ? messages[0].content : default_system_);
    if (!tools.empty()) {
      out.scaffold(
          "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
          "You are provided with function signatures within <tools></tools> XML tags:\n<tools>");
      for (const std::string& tool : tools) out.scaffold("\n").content(tool);
      out.scaffold(
          "\n</tools>\n\nFor each function call, return a json object with function name and "
          "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
          "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>");
    }
    out.scaffold("<|im_end|>\n");
    return {};
  }

  static void render_qwen_turn(const std::vector<Message>& messages, size_t i, PromptBuilder& out) {
    const Message& message = messages[i];
    if (message.role == Role::kTool) {
      const auto is_tool = [&](size_t j) {
        return j < messages.size() && messages[j].role == Role::kTool;
      };
      if (i == 0 || !is_tool(i - 1)) out.scaffold("<|im_start|>user");
      out.scaffold("\n<tool_response>\n").content(message.content).scaffold("\n</tool_response>");
      if (!is_tool(i + 1)) out.scaffold("<|im_end|>\n");
      return;
    }
    if (message.role == Role::kSystem && i == 0) return;  // written already
    if (message.role != Role::kAssistant || message.tool_calls.empty()) {
      render_turn(message, out);
      return;
    }
    out.scaffold("<|im_start|>assistant");
    if (!message.content.empty()) out.scaffold("\n").content(message.content);
    for (const ToolCall& call : message.tool_calls) {
      out.scaffold("\n<tool_call>\n{\"name\": \"").content(call.name);
      out.scaffold("\", \"arguments\": ").content(json_arguments(call));
      out.scaffold("}\n</tool_call>");
    }
    out.scaffold("<|im_end|>\n");
  }

  std::string_view name_;
  ChatMlKind kind_;
  std::string default_system_;
};

// -- Llama 3 and 3.1 ------------------------------------------------------------------------------

void llama_header(std::string_view role, PromptBuilder& out) {
  out.scaffold(fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n", role));
}

void llama_turn(const Message& message, PromptBuilder& out) {
  llama_header(role_name(message.role), out);
  out.content(python_strip(message.content)).scaffold("<|eot_id|>");
}

class Llama3 final : public ChatTemplate {
 public:
  std::string_view name() const override { return "llama3"; }
  ThinkMarks think_marks() const override { return {}; }
  std::vector<std::string> stop_spellings() const override { return {"<|eot_id|>"}; }
  bool opens_thinking(const RenderOptions&) const override { return false; }
  bool renders_tools() const override { return false; }

  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    PromptBuilder out;
    if (!messages.empty()) out.bos("<|begin_of_text|>");
    for (const Message& message : messages) llama_turn(message, out);
    if (options.add_generation_prompt) llama_header("assistant", out);
    return out.take();
  }
};

class Llama31 final : public ChatTemplate {
 public:
  std::string_view name() const override { return "llama3.1"; }
  ThinkMarks think_marks() const override { return {}; }
  std::vector<std::string> stop_spellings() const override { return {"<|eot_id|>", "<|eom_id|>"}; }
  bool opens_thinking(const RenderOptions&) const override { return false; }
  bool renders_tools() const override { return true; }

  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    if (messages.empty()) return usage_error("an empty conversation: this template needs a turn");
    PromptBuilder out;
    out.bos("<|begin_of_text|>");
    llama_header("system", out);
    const bool has_tools = !options.tools.empty();
    if (has_tools) out.scaffold("Environment: ipython\n");
    out.scaffold("Cutting Knowledge Date: December 2023\nToday Date: ");
    out.content(options.date.empty() ? "26 Jul 2024" : options.date).scaffold("\n\n");
    size_t next = 0;
    if (messages[0].role == Role::kSystem) out.content(python_strip(messages[next++].content));
    out.scaffold("<|eot_id|>");
    if (has_tools) {
      if (next == messages.size()) {
        return usage_error("tools without a user turn: this template puts them into the first one");
      }
      RECKON_RETURN_IF_ERROR(render_tools_turn(messages[next++], options, out));
    }
    for (; next < messages.size(); ++next) {
      RECKON_RETURN_IF_ERROR(render_turn(messages[next], out));
    }
    if (options.add_generation_prompt) llama_header("assistant", out);
    return out.take();
  }

 private:
  static Status render_tools_turn(const Message& message, const RenderOptions& options,
                                  PromptBuilder& out) {
    RECKON_ASSIGN(const std::vector<std::string> tools,
                  python_json_elements(options.tools, 4, "tools"));
    llama_header("user", out);
    out.scaffold(
        "Given the following functions, please respond with a JSON for a function call with its "
        "proper arguments that best answers the given prompt.\n\nRespond in the format {\"name\": "
        "function name, \"parameters\": dictionary of argument name and its value}."
        "Do not use variables.\n\n");
    for (const std::string& tool : tools) out.content(tool).scaffold("\n\n");
    out.content(python_strip(message.content)).scaffold("<|eot_id|>");
    return {};
  }

  static Status render_turn(const Message& message, PromptBuilder& out) {
    if (!message.tool_calls.empty()) {
      if (message.tool_calls.size() != 1) {
        return usage_error(
            fmt::format("an assistant turn with {} tool calls: this template knows one at a time",
                        message.tool_calls.size()));
      }
      const ToolCall& call = message.tool_calls[0];
      llama_header("assistant", out);
      out.scaffold("{\"name\": \"").content(call.name).scaffold("\", \"parameters\": ");
      out.content(json_arguments(call)).scaffold("}<|eot_id|>");
    } else if (message.role == Role::kTool) {
      llama_header("ipython", out);
      out.content(python_json_string(message.content)).scaffold("<|eot_id|>");
    } else {
      llama_turn(message, out);
    }
    return {};
  }
};

}  // namespace

PromptBuilder& PromptBuilder::bos(std::string_view spelling) {
  pieces_.push_back({std::string(spelling), true, true});
  return *this;
}

PromptBuilder& PromptBuilder::append(std::string_view text, bool is_scaffold) {
  if (text.empty()) return *this;
  if (pieces_.empty() || pieces_.back().scaffold != is_scaffold || pieces_.back().bos) {
    pieces_.push_back({{}, is_scaffold, false});
  }
  pieces_.back().text += text;
  return *this;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
    case Role::kTool: return "tool";
  }
  return {};
}

std::shared_ptr<const ChatTemplate> make_deepseek_r1(bool template_opens_thinking) {
  return std::make_shared<DeepSeekR1>(template_opens_thinking);
}

std::shared_ptr<const ChatTemplate> make_chatml(std::string_view name, ChatMlKind kind,
                                                std::string default_system) {
  return std::make_shared<ChatMl>(name, kind, std::move(default_system));
}

std::shared_ptr<const ChatTemplate> make_llama3() { return std::make_shared<Llama3>(); }
std::shared_ptr<const ChatTemplate> make_llama3_1() { return std::make_shared<Llama31>(); }

}  // namespace reckon
