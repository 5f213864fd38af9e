// One buffer and a few searches; what a search has seen isn't searched again, so the work is linear
// in the text.
#include "reasoning/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "reasoning/stop_strings.h"

namespace reckon {
namespace {

namespace json = boost::json;

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kHermesBegin = "<tool_call>";
constexpr std::string_view kHermesEnd = "</tool_call>";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kFence = "```";
constexpr std::string_view kBlank = " \t\r\n";
constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxArgumentsDepth = 64;

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// A name as programs give it: visible, on one line.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) > ' ' && c != '"' && c != '<' && c != 0x7f;
         });
}

std::optional<ToolCall> make_call(std::string_view name, std::string_view arguments) {
  if (!is_name(name)) return {};
  const auto parsed = parse_json(arguments, "arguments", kMaxArgumentsDepth);
  if (!parsed.ok() || !parsed->is_object()) return {};
  return ToolCall{.name = std::string(name), .arguments = std::string(arguments), .id = {}};
}

// function<｜tool▁sep｜>NAME\n```json\nARGS\n```
std::optional<ToolCall> parse_r1_call(std::string_view body) {
  const size_t separator = body.find(kSeparator);
  if (separator == std::string_view::npos || trimmed(body.substr(0, separator)) != "function") {
    return {};
  }
  body.remove_prefix(separator + kSeparator.size());
  const size_t line = body.find('\n');
  if (line == std::string_view::npos) return {};
  const std::string_view name = trimmed(body.substr(0, line));
  std::string_view arguments = trimmed(body.substr(line));
  if (arguments.starts_with(kFence)) {
    arguments.remove_prefix(kFence.size());
    if (arguments.starts_with("json")) arguments.remove_prefix(4);
    if (!arguments.ends_with(kFence)) return {};
    arguments.remove_suffix(kFence.size());
  }
  return make_call(name, trimmed(arguments));
}

// {"name": NAME, KEY: {…}}; arguments that are a string are taken as JSON text.
std::optional<ToolCall> parse_json_call(std::string_view body, std::string_view key) {
  const auto parsed = parse_json(trimmed(body), "call", kMaxArgumentsDepth + 1);
  if (!parsed.ok() || !parsed->is_object()) return {};
  const json::object& call = parsed->get_object();
  const json::value* name = call.if_contains("name");
  const json::value* arguments = call.if_contains(key);
  if (name == nullptr || !name->is_string() || call.size() > 2) return {};
  std::string text = "{}";
  if (arguments != nullptr) {
    text =
        arguments->is_string() ? std::string(arguments->get_string()) : json::serialize(*arguments);
  } else if (call.size() != 1) {
    return {};
  }
  return make_call(name->get_string(), text);
}

}  // namespace

ToolFormat tool_format(std::string_view template_name) {
  if (template_name.starts_with("llama3")) return ToolFormat::kLlama3;
  if (template_name.starts_with("deepseek-r1")) return ToolFormat::kR1;
  return ToolFormat::kHermes;
}

void ToolCallParser::push(std::string_view text, std::vector<ToolEvent>& out) {
  held_ += text;
  while (step(out)) {
  }
}

void ToolCallParser::emit_text(std::string_view text, std::vector<ToolEvent>& out) {
  if (text.empty()) return;
  if (!out.empty() && std::holds_alternative<std::string>(out.back())) {
    std::get<std::string>(out.back()) += text;
  } else {
    out.emplace_back(std::string(text));
  }
}

// One thing off the front of held_; false when more text is needed.
bool ToolCallParser::step(std::vector<ToolEvent>& out) {
  if (held_.empty()) return false;
  if (format_ == ToolFormat::kLlama3) {
    if (!gave_up_) {
      const std::string_view text = trimmed(held_);
      gave_up_ = !text.empty() && text.front() != '{' && !kPythonTag.starts_with(text) &&
                 !text.starts_with(kPythonTag);
    }
    if (gave_up_) emit_text(std::exchange(held_, {}), out);
    return false;
  }
  const bool r1 = format_ == ToolFormat::kR1;
  if (in_calls_) return step_between(out);
  const std::string_view begin = r1 ? kCallsBegin : kHermesBegin;
  const size_t at = held_.find(begin);
  if (at == std::string::npos) {
    const size_t keep = partial_match_length(held_, begin);
    emit_text(std::string_view(held_).substr(0, held_.size() - keep), out);
    held_.erase(0, held_.size() - keep);
    return false;
  }
  emit_text(std::string_view(held_).substr(0, at), out);
  held_.erase(0, at + (r1 ? begin.size() : 0));
  scanned_ = 0;
  in_calls_ = true;
  n_in_list_ = 0;
  return true;
}

// Inside a list of calls (kR1), or in front of a single call (kHermes). Held is at most one call.
bool ToolCallParser::step_between(std::vector<ToolEvent>& out) {
  const bool r1 = format_ == ToolFormat::kR1;
  const std::string_view begin = r1 ? kCallBegin : kHermesBegin;
  const std::string_view end = r1 ? kCallEnd : kHermesEnd;
  const size_t first = std::min(held_.find_first_not_of(kBlank), held_.size());
  const std::string_view visible = std::string_view(held_).substr(first);
  if (visible.starts_with(begin)) {
    const size_t body = first + begin.size();
    const size_t from = std::max(body, scanned_ > end.size() ? scanned_ - end.size() : 0);
    const size_t stop = held_.find(end, from);
    scanned_ = held_.size();
    if (stop == std::string::npos) return false;
    take_call(body, stop, stop + end.size(), out);
    return true;
  }
  if (r1 && visible.starts_with(kCallsEnd)) {
    held_.erase(0, first + kCallsEnd.size());
    in_calls_ = false;
    return true;
  }
  if (begin.starts_with(visible) || (r1 && kCallsEnd.starts_with(visible))) return false;
  // Something else: the list is over, and what follows is text; all of it, if no call has come.
  in_calls_ = false;
  if (r1 && n_in_list_ == 0) emit_text(kCallsBegin, out);
  scanned_ = 0;
  return true;
}

// held_[body, end) is a call's inside; held_[next, …) comes after it.
void ToolCallParser::take_call(size_t body, size_t end, size_t next, std::vector<ToolEvent>& out) {
  const std::string_view inside = std::string_view(held_).substr(body, end - body);
  std::optional<ToolCall> call =
      format_ == ToolFormat::kR1 ? parse_r1_call(inside) : parse_json_call(inside, "arguments");
  if (call) {
    out.emplace_back(std::move(*call));
    ++n_calls_;
    ++n_in_list_;
  } else {
    if (format_ == ToolFormat::kR1 && n_in_list_++ == 0) emit_text(kCallsBegin, out);
    emit_text(std::string_view(held_).substr(0, next), out);
  }
  held_.erase(0, next);
  scanned_ = 0;
  if (format_ == ToolFormat::kHermes) in_calls_ = false;
}

void ToolCallParser::finish(std::vector<ToolEvent>& out) {
  const std::string_view visible = trimmed(held_);
  std::optional<ToolCall> call;
  if (format_ == ToolFormat::kLlama3) {
    std::string_view body = visible;
    if (body.starts_with(kPythonTag)) body.remove_prefix(kPythonTag.size());
    call = parse_json_call(body, "parameters");
  } else if (in_calls_ && format_ == ToolFormat::kR1 && visible.starts_with(kCallBegin)) {
    call = parse_r1_call(visible.substr(kCallBegin.size()));
  } else if (in_calls_ && visible.starts_with(kHermesBegin)) {
    call = parse_json_call(visible.substr(kHermesBegin.size()), "arguments");
  }
  if (call) {
    out.emplace_back(std::move(*call));
    ++n_calls_;
  } else {
    const bool in_list = in_calls_ && format_ == ToolFormat::kR1;
    if (in_list && n_in_list_ == 0) emit_text(kCallsBegin, out);
    if (!(in_list && visible.empty())) emit_text(held_, out);
  }
  held_.clear();
  scanned_ = 0;
  in_calls_ = false;
}

Result<std::string> system_text_with_tools(std::string_view system, std::string_view tools_json,
                                           ToolFormat format) {
  auto parsed = parse_json(tools_json, "tools", kMaxArgumentsDepth);
  if (!parsed.ok()) return usage_error(parsed.error().message);
  if (!parsed->is_array()) return usage_error("tools: expected an array");
  std::string definitions;
  size_t n = 0;
  for (const json::value& tool : parsed->get_array()) {
    const std::string place = fmt::format("tools[{}]", n++);
    const json::value* type = tool.is_object() ? tool.get_object().if_contains("type") : nullptr;
    if (type == nullptr || *type != "function") {
      return usage_error(place + ".type: expected \"function\"");
    }
    const json::value* function = tool.get_object().if_contains("function");
    if (function == nullptr || !function->is_object()) {
      return usage_error(place + ".function: expected an object");
    }
    const json::value* name = function->get_object().if_contains("name");
    if (name == nullptr || !name->is_string() || !is_name(name->get_string())) {
      return usage_error(
          fmt::format("{}.function.name: expected a name of 1 to {} visible "
                      "characters",
                      place, kMaxNameBytes));
    }
    definitions += json::serialize(*function) + "\n";
  }
  std::string text(system);
  if (n == 0) return text;
  if (!text.empty()) text += "\n\n";
  text += "You can call these functions, each described by one line of JSON:\n" + definitions;
  text += "\nTo call one, end your answer with ";
  switch (format) {
    case ToolFormat::kR1:
      text += fmt::format(
          "exactly this, NAME and the JSON object of its arguments filled in:\n"
          "{}{}function{}NAME\n```json\n{{\"argument\": \"value\"}}\n```{}{}\n"
          "Several calls stand in one list, each between {} and {}. ",
          kCallsBegin, kCallBegin, kSeparator, kCallEnd, kCallsEnd, kCallBegin, kCallEnd);
      break;
    case ToolFormat::kHermes:
      text += fmt::format(
          "a JSON object between marks:\n{}\n"
          "{{\"name\": \"NAME\", \"arguments\": {{\"argument\": \"value\"}}}}\n{}\n",
          kHermesBegin, kHermesEnd);
      break;
    case ToolFormat::kLlama3:
      text +=
          "nothing but this JSON object:\n"
          "{\"name\": \"NAME\", \"parameters\": {\"argument\": \"value\"}}\n";
      break;
  }
  text += "Call a function only when the question needs it; otherwise answer as usual.";
  return text;
}

}  // namespace reckon
