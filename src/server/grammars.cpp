// The grammar of a call is a schema where calls are JSON; R1 writes the name before it.
#include "server/grammars.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "sampling/json_schema.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

constexpr size_t kKept = 16;

json::value parameters_of(const json::value& tool) {
  const json::value* parameters = tool.at("function").as_object().if_contains("parameters");
  // Any object, where nothing is said.
  if (parameters == nullptr || !parameters->is_object() || parameters->get_object().empty()) {
    return json::object{{"type", "object"}};
  }
  return *parameters;
}

std::string literal(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

GrammarCache::GrammarResult r1_call(const json::array& tools) {
  // The rules of several schemas would have the same names: then any object will do.
  const json::value schema =
      tools.size() == 1 ? parameters_of(tools.front()) : json::object{{"type", "object"}};
  RECKON_ASSIGN(std::string rules, json_schema_to_gbnf(schema));
  static constexpr std::string_view kRoot = "root ::=";
  const size_t root = rules.find(kRoot);
  if (root == std::string::npos) return failed("the grammar of a schema has no root");
  rules.replace(root, kRoot.size(), "call-arguments ::=");
  std::string names;
  for (const json::value& tool : tools) {
    if (!names.empty()) names += " | ";
    names += literal(tool.at("function").at("name").as_string());
  }
  return Grammar::parse(fmt::format(
      "root ::= \"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>\" ({}) "
      "\"\\n```json\\n\" call-arguments \"\\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>\"\n{}",
      names, rules));
}

GrammarCache::GrammarResult json_call(const json::array& tools, std::string_view arguments,
                                      bool marked) {
  json::array calls;
  for (const json::value& tool : tools) {
    json::object properties{{"name", {{"const", tool.at("function").at("name")}}}};
    properties[arguments] = parameters_of(tool);
    calls.push_back(
        json::object{{"type", "object"},
                     {"properties", std::move(properties)},
                     {"required", json::array{json::value("name"), json::string(arguments)}},
                     {"additionalProperties", false}});
  }
  RECKON_ASSIGN(std::string rules, json_schema_to_gbnf(json::object{{"anyOf", std::move(calls)}}));
  if (marked) {
    static constexpr std::string_view kRoot = "root ::=";
    const size_t root = rules.find(kRoot);
    if (root == std::string::npos) return failed("the grammar of a schema has no root");
    rules.replace(root, kRoot.size(), "one-call ::=");
    rules = "root ::= \"<tool_call>\\n\" one-call \"\\n</tool_call>\"\n" + rules;
  }
  return Grammar::parse(rules);
}

}  // namespace

GrammarCache::GrammarResult GrammarCache::cached(std::string key,
                                                 const std::function<GrammarResult()>& make) {
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = latest_.begin(); entry != latest_.end(); ++entry) {
      if (entry->first != key) continue;
      latest_.splice(latest_.begin(), latest_, entry);
      return entry->second;
    }
  }
  RECKON_ASSIGN(std::shared_ptr<const Grammar> grammar, make());
  const std::lock_guard lock(mutex_);
  latest_.emplace_front(std::move(key), grammar);
  if (latest_.size() > kKept) latest_.pop_back();
  return grammar;
}

GrammarCache::GrammarResult GrammarCache::schema(const json::value& schema) {
  return cached("schema " + json::serialize(schema), [&] { return json_schema_grammar(schema); });
}

GrammarCache::GrammarResult GrammarCache::gbnf(const std::string& text) {
  return cached("gbnf " + text, [&] { return Grammar::parse(text); });
}

GrammarCache::GrammarResult GrammarCache::tool_call(const json::array& tools, ToolFormat format) {
  return cached(fmt::format("call {} {}", static_cast<int>(format), json::serialize(tools)),
                [&]() -> GrammarResult {
                  switch (format) {
                    case ToolFormat::kR1: return r1_call(tools);
                    case ToolFormat::kHermes: return json_call(tools, "arguments", true);
                    case ToolFormat::kLlama3: return json_call(tools, "parameters", false);
                  }
                  return r1_call(tools);
                });
}

}  // namespace reckon::server
