// The marks may arrive as special tokens' spellings or letter by letter: the parser sees only text.
#include "server/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/json.h"

namespace reckon::server {
namespace {

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";

// How many of text's last bytes may be the beginning of mark.
size_t partial_mark(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == mark.substr(0, n)) return n;
  }
  return 0;
}

std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// body: what stands between kCallBegin and kCallEnd.
std::optional<ToolCall> parse_call(std::string_view body) {
  const size_t separator = body.find(kSeparator);
  if (separator == std::string_view::npos) return std::nullopt;
  std::string_view rest = body.substr(separator + kSeparator.size());
  const size_t line_end = rest.find('\n');
  if (line_end == std::string_view::npos) return std::nullopt;
  const std::string_view name = trim(rest.substr(0, line_end));
  std::string_view arguments = trim(rest.substr(line_end));
  if (arguments.starts_with("```")) {
    const size_t fence_end = arguments.find('\n');
    if (fence_end == std::string_view::npos) return std::nullopt;
    arguments.remove_prefix(fence_end);
    if (arguments.ends_with("```")) arguments.remove_suffix(3);
    arguments = trim(arguments);
  }
  if (name.empty()) return std::nullopt;
  const Result<boost::json::value> value = parse_json(arguments, "arguments", 64);
  if (!value.ok() || !value->is_object()) return std::nullopt;
  return ToolCall{.name = std::string(name), .arguments = std::string(arguments), .id = ""};
}

}  // namespace

std::string tools_system_text(const std::vector<ToolDefinition>& tools, ToolChoice choice,
                              const std::string& only) {
  std::string text = "## Functions\nYou can call these functions:\n";
  for (const ToolDefinition& tool : tools) {
    text += fmt::format("\n### {}\n", tool.name);
    if (!tool.description.empty()) text += tool.description + "\n";
    text += fmt::format("Parameters, as a JSON schema: {}\n", tool.parameters);
  }
  text += fmt::format(
      "\nTo call functions, answer with nothing but this, one block between {} and {} for each "
      "call:\n{}{}function{}NAME\n```json\nARGUMENTS\n```{}{}\n",
      kCallBegin, kCallEnd, kCallsBegin, kCallBegin, kSeparator, kCallEnd, kCallsEnd);
  if (!only.empty()) {
    text += fmt::format("Call the function {} now.\n", only);
  } else if (choice == ToolChoice::kRequired) {
    text += "Call at least one function now.\n";
  } else {
    text += "Call a function only where the answer needs it.\n";
  }
  return text;
}

ToolCallParser::Output ToolCallParser::push(std::string_view text) {
  Output output;
  held_ += text;
  for (;;) {
    if (!in_calls_) {
      const size_t begin = held_.find(kCallsBegin);
      if (begin == std::string::npos) {
        const size_t keep = partial_mark(held_, kCallsBegin);
        output.text += held_.substr(0, held_.size() - keep);
        held_.erase(0, held_.size() - keep);
        return output;
      }
      output.text += held_.substr(0, begin);
      held_.erase(0, begin);
      in_calls_ = true;
      any_call_ = false;
    }
    // held_ starts with kCallsBegin until the first call has been read.
    const size_t calls_end = held_.find(kCallsEnd);
    const size_t call_end = held_.find(kCallEnd);
    if (call_end != std::string::npos && call_end < calls_end) {
      const std::string_view before = std::string_view(held_).substr(0, call_end);
      const size_t begin = before.find(kCallBegin);
      std::optional<ToolCall> call;
      if (begin != std::string_view::npos) {
        call = parse_call(before.substr(begin + kCallBegin.size()));
      }
      if (!call) {
        if (calls_end == std::string::npos) return output;  // finish() gives it back as text
        output.text += held_.substr(0, calls_end + kCallsEnd.size());
        held_.erase(0, calls_end + kCallsEnd.size());
        in_calls_ = false;
        continue;
      }
      output.calls.push_back(std::move(*call));
      any_call_ = true;
      held_.erase(0, call_end + kCallEnd.size());
      continue;
    }
    if (calls_end == std::string::npos) return output;
    if (!any_call_) output.text += held_.substr(0, calls_end + kCallsEnd.size());
    held_.erase(0, calls_end + kCallsEnd.size());
    in_calls_ = false;
  }
}

ToolCallParser::Output ToolCallParser::finish() {
  Output output;
  // After calls that are whole, a missing end mark and blanks are no text.
  if (!(in_calls_ && any_call_ && trim(held_).empty())) output.text = std::move(held_);
  held_.clear();
  in_calls_ = false;
  return output;
}

}  // namespace reckon::server
