// The built-in chat templates and what they are built with. Inside tokenizer/ only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"

namespace reckon {

// Collects a prompt's pieces; neighbours of the same kind become one.
class PromptBuilder {
 public:
  PromptBuilder& bos(std::string_view spelling);
  PromptBuilder& scaffold(std::string_view text) { return append(text, true); }
  PromptBuilder& content(std::string_view text) { return append(text, false); }
  std::vector<PromptPiece> take() { return std::move(pieces_); }

 private:
  PromptBuilder& append(std::string_view text, bool is_scaffold);
  std::vector<PromptPiece> pieces_;
};

// "system", "user", "assistant", "tool".
std::string_view role_name(Role role);

enum class ChatMlKind {
  kPlain,    // every turn as it is; no tools
  kDefault,  // the same, after a default system turn where the conversation begins without one
  kQwen25,   // the same with tool definitions, calls and outputs
};

std::shared_ptr<const ChatTemplate> make_deepseek_r1(bool template_opens_thinking);
std::shared_ptr<const ChatTemplate> make_chatml(std::string_view name, ChatMlKind kind,
                                                std::string default_system);
std::shared_ptr<const ChatTemplate> make_llama3();
std::shared_ptr<const ChatTemplate> make_llama3_1();

inline constexpr std::string_view kSmolLm2System =
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
inline constexpr std::string_view kQwen25System =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

}  // namespace reckon
