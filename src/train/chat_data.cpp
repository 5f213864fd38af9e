// Lines are independent, so the threads share them out; the first bad one in the file's order is
// the error.
#include "train/chat_data.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <optional>

#include "base/file.h"
#include "base/json.h"

namespace reckon::train {
namespace {

namespace json = boost::json;
constexpr uint64_t kMaxDataBytes = uint64_t{4} << 30;

Result<std::string> text_field(const json::object& object, std::string_view key,
                               std::string_view what) {
  const json::value* found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) {
    return bad_file(fmt::format("{}: \"{}\": expected a text, found {}", what, key,
                                found == nullptr ? "none" : "something else"));
  }
  return std::string(found->get_string());
}

Result<Role> role_of(const std::string& name, std::string_view what) {
  if (name == "system") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "tool") return Role::kTool;
  return bad_file(fmt::format("{}: \"role\": expected system, user, assistant or tool, found {}",
                              what, excerpt(name)));
}

void append(const Tokenizer& tokenizer, std::string_view text, SpecialTokens special, bool learned,
            Example& example) {
  tokenizer.encode(text, special, example.tokens);
  example.learned.resize(example.tokens.size(), learned);
}

// The turn after the messages so far.
Result<Example> example_of(const std::vector<Message>& before, const Message& turn,
                           const std::optional<std::string>& thought, const Tokenizer& tokenizer,
                           const ChatTemplate& chat_template) {
  RECKON_ASSIGN(const std::vector<PromptPiece> pieces, chat_template.render(before, {}));
  Example example;
  example.tokens = encode_prompt(tokenizer, pieces);
  example.learned.assign(example.tokens.size(), false);
  const ThinkMarks marks = chat_template.think_marks();
  if (opens_thought(pieces, marks)) {
    if (thought) append(tokenizer, *thought, SpecialTokens::kAsText, true, example);
    append(tokenizer, "\n" + marks.close + "\n\n", SpecialTokens::kParse, thought.has_value(),
           example);
  } else if (thought && !thought->empty()) {
    return bad_file(fmt::format(
        "\"reasoning_content\": the template {} has no place for a thought (--chat-template)",
        chat_template.name()));
  }
  append(tokenizer, turn.content, SpecialTokens::kAsText, true, example);
  RECKON_ASSIGN(const TokenId end, end_of_turn(tokenizer, chat_template));
  example.tokens.push_back(end);
  example.learned.push_back(true);
  return example;
}

}  // namespace

std::vector<NumberedLine> numbered_lines(std::string_view text) {
  std::vector<NumberedLine> lines;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back({number, line});
  }
  return lines;
}

Result<TokenId> end_of_turn(const Tokenizer& tokenizer, const ChatTemplate& chat_template) {
  for (const std::string& spelling : chat_template.stop_spellings()) {
    if (const TokenId id = tokenizer.find(spelling); id != kNoToken) return id;
  }
  if (tokenizer.spec().eot != kNoToken) return tokenizer.spec().eot;
  if (tokenizer.eos() != kNoToken) return tokenizer.eos();
  return bad_file("tokenizer: expected a token that ends a turn, found none");
}

Result<std::vector<Example>> examples_of(const json::object& line, std::string_view what,
                                         const Tokenizer& tokenizer,
                                         const ChatTemplate& chat_template) {
  const json::value* messages = line.if_contains("messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty()) {
    return bad_file(fmt::format("{}: \"messages\": expected a list of messages, found {}", what,
                                messages == nullptr ? "none" : "something else"));
  }
  std::vector<Example> examples;
  std::vector<Message> so_far;
  size_t index = 0;
  for (const json::value& value : messages->get_array()) {
    const std::string place = fmt::format("{}: messages[{}]", what, index++);
    if (!value.is_object()) return bad_file(place + ": expected an object");
    const json::object& object = value.get_object();
    RECKON_ASSIGN(const std::string role_name, text_field(object, "role", place));
    Message message;
    RECKON_ASSIGN(message.role, role_of(role_name, place));
    RECKON_ASSIGN(message.content, text_field(object, "content", place));
    if (message.role == Role::kAssistant) {
      const json::value* reasoning = object.if_contains("reasoning_content");
      std::optional<std::string> thought;
      if (reasoning != nullptr && !reasoning->is_null()) {
        RECKON_ASSIGN(thought, text_field(object, "reasoning_content", place));
      }
      Result<Example> example = example_of(so_far, message, thought, tokenizer, chat_template);
      if (!example.ok()) return bad_file(place + ": " + example.error().message);
      examples.push_back(std::move(example).value());
    }
    so_far.push_back(std::move(message));
  }
  if (examples.empty()) return bad_file(fmt::format("{}: expected an assistant's turn", what));
  return examples;
}

Status read_chat_data(const std::string& path, const Tokenizer& tokenizer,
                      const ChatTemplate& chat_template, const ChatDataOptions& options,
                      ThreadPool& pool, ChatData& data) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxDataBytes));
  const std::vector<NumberedLine> lines = numbered_lines(text);
  if (lines.empty()) return bad_file(path + ": expected lines of JSON, found an empty file");
  std::vector<std::optional<Result<std::vector<Example>>>> parsed(lines.size());
  pool.parallel_for(std::ssize(lines), [&](int64_t i, int) {
    const NumberedLine& line = lines[static_cast<size_t>(i)];
    const std::string what = fmt::format("{}:{}", path, line.number);
    const auto one = [&]() -> Result<std::vector<Example>> {
      RECKON_ASSIGN(const json::value value, parse_json(line.text, what));
      if (!value.is_object()) return bad_file(what + ": expected a JSON object");
      return examples_of(value.get_object(), what, tokenizer, chat_template);
    };
    parsed[static_cast<size_t>(i)] = one();
  });
  for (size_t i = 0; i < lines.size(); ++i) {
    RECKON_ASSIGN(std::vector<Example> examples, std::move(*parsed[i]));
    for (Example& example : examples) {
      const auto n = std::ssize(example.tokens);
      if (n > options.max_tokens && !options.skip_long) {
        return bad_file(fmt::format("{}:{}: expected at most {} tokens, found {}", path,
                                    lines[i].number, options.max_tokens, n));
      }
      if (n > options.max_tokens) {
        ++data.n_skipped;
      } else {
        data.examples.push_back(std::move(example));
      }
    }
  }
  return {};
}

}  // namespace reckon::train
