// A chat template described by a JSON file: what stands before and after each role's content. The
// format is in docs/templates.md; unknown keys are errors.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/chat_template_families.h"
#include "tokenizer/chat_template_python.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxFileBytes = 1 << 20;

struct Frame {
  std::string before;
  std::string after;
};

struct CustomSpec {
  bool bos = false;
  std::array<std::optional<Frame>, 4> roles;  // by Role
  std::string answer;                         // what opens the assistant's turn
  std::string default_system;
  ThinkMarks think;
  std::vector<std::string> stop;
  bool trim = false;
};

class CustomTemplate final : public ChatTemplate {
 public:
  explicit CustomTemplate(CustomSpec spec) : spec_(std::move(spec)) {}

  std::string_view name() const override { return "custom"; }
  ThinkMarks think_marks() const override { return spec_.think; }
  std::vector<std::string> stop_spellings() const override { return spec_.stop; }
  bool opens_thinking(const RenderOptions& options) const override {
    return options.add_generation_prompt && opens_thought({{spec_.answer, true}}, spec_.think);
  }
  bool renders_tools() const override { return false; }

  Result<std::vector<PromptPiece>> render(const std::vector<Message>& messages,
                                          const RenderOptions& options) const override {
    PromptBuilder out;
    if (spec_.bos) out.bos("");
    if (!spec_.default_system.empty() && (messages.empty() || messages[0].role != Role::kSystem)) {
      RECKON_RETURN_IF_ERROR(render_turn(Role::kSystem, spec_.default_system, out));
    }
    for (const Message& message : messages) {
      if (!message.tool_calls.empty()) {
        return usage_error("a turn with tool calls: a template from a file has no form for them");
      }
      RECKON_RETURN_IF_ERROR(render_turn(message.role, content_of(message), out));
    }
    if (options.add_generation_prompt) out.scaffold(spec_.answer);
    return out.take();
  }

 private:
  Status render_turn(Role role, std::string_view content, PromptBuilder& out) const {
    const std::optional<Frame>& frame = spec_.roles[static_cast<size_t>(role)];
    if (!frame) {
      return usage_error(
          fmt::format("a {} turn: the template's file describes none", role_name(role)));
    }
    out.scaffold(frame->before).content(content).scaffold(frame->after);
    return {};
  }

  std::string_view content_of(const Message& message) const {
    std::string_view content = message.content;
    if (message.role == Role::kAssistant && !spec_.think.close.empty()) {
      const size_t at = content.rfind(spec_.think.close);
      if (at != std::string_view::npos) content.remove_prefix(at + spec_.think.close.size());
    }
    return spec_.trim ? python_strip(content) : content;
  }

  CustomSpec spec_;
};

// Takes an object's keys one by one; what is left at the end is unknown.
class ObjectReader {
 public:
  static Result<ObjectReader> open(const json::value& value, std::string where) {
    if (!value.is_object()) {
      return bad_file(fmt::format("{}: expected an object, found another value", where));
    }
    return ObjectReader(value.get_object(), std::move(where));
  }

  const json::value* take(std::string_view key) {
    const json::value* value = object_->if_contains(key);
    if (value != nullptr) taken_.push_back(key);
    return value;
  }

  Result<std::string> string(std::string_view key) {
    const json::value* value = take(key);
    if (value == nullptr) return std::string();
    if (!value->is_string()) return wrong(key, "a string");
    return std::string(value->get_string());
  }

  Result<bool> boolean(std::string_view key) {
    const json::value* value = take(key);
    if (value == nullptr) return false;
    if (!value->is_bool()) return wrong(key, "true or false");
    return value->get_bool();
  }

  Status finish() const {
    for (const json::key_value_pair& pair : *object_) {
      const std::string_view key(pair.key().data(), pair.key().size());
      if (std::find(taken_.begin(), taken_.end(), key) == taken_.end()) {
        return bad_file(fmt::format("{}: unknown key {}", where_, excerpt(key)));
      }
    }
    return {};
  }

  Error wrong(std::string_view key, std::string_view expected) const {
    return bad_file(fmt::format("{}: {}: expected {}, found another value", where_, key, expected));
  }
  const std::string& where() const { return where_; }

 private:
  ObjectReader(const json::object& object, std::string where)
      : object_(&object), where_(std::move(where)) {}

  const json::object* object_;
  std::string where_;
  std::vector<std::string_view> taken_;
};

Status read_roles(ObjectReader& file, CustomSpec& spec) {
  const json::value* roles = file.take("roles");
  if (roles == nullptr) {
    return bad_file(fmt::format("{}: roles: expected an object, found no such key", file.where()));
  }
  RECKON_ASSIGN(ObjectReader reader, ObjectReader::open(*roles, file.where() + ": roles"));
  for (const Role role : {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool}) {
    const json::value* value = reader.take(role_name(role));
    if (value == nullptr) continue;
    RECKON_ASSIGN(
        ObjectReader frame,
        ObjectReader::open(*value, fmt::format("{}: {}", reader.where(), role_name(role))));
    Frame& out = spec.roles[static_cast<size_t>(role)].emplace();
    RECKON_ASSIGN(out.before, frame.string("before"));
    RECKON_ASSIGN(out.after, frame.string("after"));
    RECKON_RETURN_IF_ERROR(frame.finish());
  }
  RECKON_RETURN_IF_ERROR(reader.finish());
  for (const Role role : {Role::kUser, Role::kAssistant}) {
    if (!spec.roles[static_cast<size_t>(role)]) {
      return bad_file(fmt::format("{}: {}: expected an object, found no such key", reader.where(),
                                  role_name(role)));
    }
  }
  return {};
}

Status read_think(ObjectReader& file, CustomSpec& spec) {
  const json::value* think = file.take("think");
  if (think == nullptr) return {};
  RECKON_ASSIGN(ObjectReader reader, ObjectReader::open(*think, file.where() + ": think"));
  RECKON_ASSIGN(spec.think.open, reader.string("open"));
  RECKON_ASSIGN(spec.think.close, reader.string("close"));
  RECKON_RETURN_IF_ERROR(reader.finish());
  if (spec.think.open.empty() || spec.think.close.empty()) {
    return bad_file(
        fmt::format("{}: expected \"open\" and \"close\", neither empty", reader.where()));
  }
  return {};
}

Status read_stop(ObjectReader& file, CustomSpec& spec) {
  const json::value* stop = file.take("stop");
  if (stop == nullptr) return {};
  if (!stop->is_array()) return file.wrong("stop", "an array of strings");
  for (const json::value& value : stop->get_array()) {
    if (!value.is_string() || value.get_string().empty()) {
      return file.wrong("stop", "an array of strings, none of them empty");
    }
    spec.stop.emplace_back(value.get_string());
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> parse_chat_template(std::string_view text,
                                                                std::string_view what) {
  RECKON_ASSIGN(const json::value tree, parse_json(text, what));
  RECKON_ASSIGN(ObjectReader file, ObjectReader::open(tree, std::string(what)));
  CustomSpec spec;
  RECKON_ASSIGN(spec.bos, file.boolean("bos"));
  RECKON_ASSIGN(spec.trim, file.boolean("trim"));
  RECKON_ASSIGN(spec.default_system, file.string("default_system"));
  RECKON_RETURN_IF_ERROR(read_roles(file, spec));
  RECKON_RETURN_IF_ERROR(read_think(file, spec));
  RECKON_RETURN_IF_ERROR(read_stop(file, spec));
  spec.answer = spec.roles[static_cast<size_t>(Role::kAssistant)]->before;
  if (file.take("answer") != nullptr) {
    RECKON_ASSIGN(spec.answer, file.string("answer"));
  }
  RECKON_RETURN_IF_ERROR(file.finish());
  if (!spec.default_system.empty() && !spec.roles[static_cast<size_t>(Role::kSystem)]) {
    return bad_file(
        fmt::format("{}: default_system: expected a system role beside it, found none", what));
  }
  return std::shared_ptr<const ChatTemplate>(std::make_shared<CustomTemplate>(std::move(spec)));
}

Result<std::shared_ptr<const ChatTemplate>> load_chat_template_file(const std::string& path) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  return parse_chat_template(text, path);
}

}  // namespace reckon
