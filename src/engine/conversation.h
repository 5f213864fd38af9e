// Messages -> requests, and completions -> messages: what chat keeps between turns. Earlier
// thoughts are kept beside the history and never rendered; the KV of what stays the same at the
// front is found again by the prefix cache, and nothing is ever shifted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// The request for the next assistant turn: prompt and thinking are set, the rest is the caller's.
// thought: go on from this text of a thought rather than from an empty one (never parsed for
// special tokens). Errors: the template's, and kUsage for a thought where the model has none.
Result<Request> chat_request(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                             const std::vector<Message>& messages, const RenderOptions& options,
                             const std::optional<std::string>& thought = std::nullopt);

// The request that goes on from plain text: BOS as the file says, special tokens' spellings parsed,
// no thoughts looked for.
Request raw_request(const Tokenizer& tokenizer, std::string_view text);

class Conversation {
 public:
  Conversation(std::shared_ptr<const Tokenizer> tokenizer,
               std::shared_ptr<const ChatTemplate> chat_template, RenderOptions options);

  // Replaces the system message; empty: none.
  void set_system(std::string text);
  void add_user(std::string text);
  void add(Message message);
  // The turn's end: its answer joins the history, its thought is kept for edits. A completion
  // without any answer (cancelled while thinking) leaves the history as it is.
  void add_completion(const Completion& completion);
  // Takes back the last assistant turn, if the history ends with one, so that request() asks again.
  void retry();
  // Takes back the last user turn and all after it. False if there is none.
  bool undo();

  // What the model would see next. Errors: chat_request's; kUsage when nobody has asked anything.
  Result<Request> request() const;
  // The same, going on from an edited thought of the last turn (whose answer is dropped).
  Result<Request> request_from_thought(const std::string& thought);

  const std::vector<Message>& messages() const { return messages_; }
  void set_messages(std::vector<Message> messages);
  // Of the last turn, finished or not; empty if there was none.
  const std::string& last_thought() const { return last_thought_; }

 private:
  Result<Request> request_with(const std::optional<std::string>& thought) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_template_;
  RenderOptions options_;
  std::vector<Message> messages_;
  std::string last_thought_;
  std::string thought_prefix_;  // the edited thought that the turn under way began with
};

}  // namespace reckon
