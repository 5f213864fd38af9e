// Messages <-> JSON.
#include "cli/chat_file.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/json.h"
#include "cli/json_line.h"

namespace reckon::cli {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{64} << 20;

struct RoleName {
  Role role;
  std::string_view name;
};
constexpr RoleName kRoles[] = {
    {Role::kSystem, "system"}, {Role::kUser, "user"}, {Role::kAssistant, "assistant"}};

std::string_view name_of(Role role) {
  for (const RoleName& entry : kRoles) {
    if (entry.role == role) return entry.name;
  }
  return "tool";
}

std::optional<Role> role_of(std::string_view name) {
  for (const RoleName& entry : kRoles) {
    if (entry.name == name) return entry.role;
  }
  return std::nullopt;
}

const boost::json::string* text_field(const boost::json::value& value, std::string_view name) {
  const boost::json::object* object = value.if_object();
  const boost::json::value* field = object == nullptr ? nullptr : object->if_contains(name);
  return field == nullptr ? nullptr : field->if_string();
}

}  // namespace

Status save_messages(const std::vector<Message>& messages, const std::string& path) {
  JsonLine json;
  json.begin_object().key("messages").begin_array();
  for (const Message& message : messages) {
    json.begin_object().field("role", name_of(message.role)).field("content", message.content);
    if (!message.thought.empty()) json.field("reasoning_content", message.thought);
    json.end_object();
  }
  return write_file(path, json.end_array().end_object().take());
}

Result<std::vector<Message>> load_messages(const std::string& path) {
  RECKON_ASSIGN(const std::string text, read_file(path, kMaxBytes));
  RECKON_ASSIGN(const boost::json::value tree, parse_json(text, path));
  const boost::json::object* object = tree.if_object();
  const boost::json::value* list = object == nullptr ? nullptr : object->if_contains("messages");
  if (list == nullptr || !list->is_array()) {
    return bad_file(path + ": messages: expected a list, found none");
  }
  std::vector<Message> messages;
  for (const boost::json::value& entry : list->get_array()) {
    const boost::json::string* role_name = text_field(entry, "role");
    const boost::json::string* content = text_field(entry, "content");
    const std::optional<Role> role =
        role_name == nullptr ? std::nullopt : role_of(std::string_view(*role_name));
    if (!role || content == nullptr) {
      return bad_file(fmt::format(
          "{}: messages[{}]: expected a role (system, user or assistant) and a content, found {}",
          path, messages.size(), role ? "no content" : "another role or none"));
    }
    const boost::json::string* thought =
        *role == Role::kAssistant ? text_field(entry, "reasoning_content") : nullptr;
    messages.push_back({.role = *role,
                        .content = std::string(*content),
                        .tool_calls = {},
                        .thought = thought == nullptr ? "" : std::string(*thought)});
  }
  return messages;
}

}  // namespace reckon::cli
