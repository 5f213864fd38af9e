// The history as messages; rendering is the template's.
#include "engine/conversation.h"

#include <utility>

#include "base/check.h"

namespace reckon {

Result<Request> chat_request(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                             const std::vector<Message>& messages, const RenderOptions& options,
                             const std::optional<std::string>& thought) {
  RECKON_ASSIGN(std::vector<PromptPiece> pieces, chat_template.render(messages, options));
  const ThinkMarks marks = chat_template.think_marks();
  Request request;
  if (opens_thought(pieces, marks)) {
    request.thinking = ThinkingStart::kOpened;
  } else if (!marks.open.empty()) {
    request.thinking = ThinkingStart::kMayOpen;
  }
  if (thought) {
    if (marks.open.empty()) {
      return usage_error("thought: expected a model that thinks, found the chat template " +
                         std::string(chat_template.name()) + ", which has no thoughts");
    }
    if (request.thinking != ThinkingStart::kOpened) {
      pieces.push_back({marks.open + "\n", true, false});
      request.thinking = ThinkingStart::kOpened;
    }
    if (!thought->empty()) pieces.push_back({*thought, false, false});
    request.thought_so_far = *thought;
  }
  request.prompt = encode_prompt(tokenizer, pieces);
  return request;
}

Request raw_request(const Tokenizer& tokenizer, std::string_view text) {
  Request request;
  tokenizer.encode(text, SpecialTokens::kParse, request.prompt);
  const bool has_bos = !request.prompt.empty() && request.prompt.front() == tokenizer.bos();
  if (tokenizer.add_bos() && tokenizer.bos() != kNoToken && !has_bos) {
    request.prompt.insert(request.prompt.begin(), tokenizer.bos());
  }
  return request;
}

Conversation::Conversation(std::shared_ptr<const Tokenizer> tokenizer,
                           std::shared_ptr<const ChatTemplate> chat_template, RenderOptions options)
    : tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      options_(std::move(options)) {
  RECKON_CHECK(tokenizer_ != nullptr && chat_template_ != nullptr);
}

void Conversation::set_system(std::string text) {
  const bool has_system = !messages_.empty() && messages_.front().role == Role::kSystem;
  if (has_system) messages_.erase(messages_.begin());
  if (!text.empty()) {
    messages_.insert(messages_.begin(),
                     Message{.role = Role::kSystem, .content = std::move(text), .tool_calls = {}});
  }
}

void Conversation::add_user(std::string text) {
  add(Message{.role = Role::kUser, .content = std::move(text), .tool_calls = {}});
}

void Conversation::add(Message message) {
  messages_.push_back(std::move(message));
  last_thought_.clear();
  thought_prefix_.clear();
}

void Conversation::add_completion(const Completion& completion) {
  last_thought_ = thought_prefix_ + completion.thinking;
  thought_prefix_.clear();
  if (completion.answer.empty()) return;
  messages_.push_back(Message{.role = Role::kAssistant,
                              .content = completion.answer,
                              .tool_calls = {},
                              .thought = last_thought_});
}

void Conversation::retry() {
  if (!messages_.empty() && messages_.back().role == Role::kAssistant) messages_.pop_back();
  thought_prefix_.clear();
}

bool Conversation::undo() {
  size_t n = messages_.size();
  while (n > 0 && messages_[n - 1].role != Role::kUser) --n;
  if (n == 0) return false;
  messages_.resize(n - 1);
  last_thought_.clear();
  thought_prefix_.clear();
  return true;
}

Result<Request> Conversation::request() const { return request_with(std::nullopt); }

Result<Request> Conversation::request_from_thought(const std::string& thought) {
  retry();
  RECKON_ASSIGN(Request request, request_with(thought));
  thought_prefix_ = thought;
  return request;
}

Result<Request> Conversation::request_with(const std::optional<std::string>& thought) const {
  const bool asked = !messages_.empty() &&
                     (messages_.back().role == Role::kUser || messages_.back().role == Role::kTool);
  if (!asked) return usage_error("conversation: expected a user's turn at its end");
  return chat_request(*tokenizer_, *chat_template_, messages_, options_, thought);
}

void Conversation::set_messages(std::vector<Message> messages) {
  messages_ = std::move(messages);
  last_thought_ = messages_.empty() ? "" : messages_.back().thought;
  thought_prefix_.clear();
}

}  // namespace reckon
