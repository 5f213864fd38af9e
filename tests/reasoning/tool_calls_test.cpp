// Calls told from text at every split point, malformed ones as text, and definitions rendered.
#include "reasoning/tool_calls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace reckon {
namespace {

const std::string kCall =
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Xi'an\"}\n```"
    "<｜tool▁call▁end｜>";
const std::string kSecond =
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\":[1,2]}\n```<"
    "｜tool▁call▁end｜>";

// "text|name(arguments)|…": what the events say, neighbouring texts joined.
std::string said(const std::vector<ToolEvent>& events) {
  std::string result;
  bool in_text = false;
  for (const ToolEvent& event : events) {
    if (const auto* text = std::get_if<std::string>(&event)) {
      result += (in_text ? "" : "|") + *text;
      in_text = true;
    } else {
      const auto& call = std::get<ToolCall>(event);
      result += "|" + call.name + "(" + call.arguments + ")";
      in_text = false;
    }
  }
  return result;
}

// The same whichever way the text is cut in two, and byte by byte.
std::string parse(ToolFormat format, const std::string& text) {
  std::string whole;
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    ToolCallParser parser(format);
    std::vector<ToolEvent> events;
    parser.push(text.substr(0, cut), events);
    parser.push(text.substr(cut), events);
    parser.finish(events);
    if (cut == 0) whole = said(events);
    EXPECT_EQ(said(events), whole) << "cut at " << cut;
  }
  ToolCallParser parser(format);
  std::vector<ToolEvent> events;
  for (const char c : text) parser.push(std::string_view(&c, 1), events);
  parser.finish(events);
  EXPECT_EQ(said(events), whole);
  EXPECT_EQ(parser.any_call(), std::count_if(events.begin(), events.end(), [](const auto& event) {
                                 return std::holds_alternative<ToolCall>(event);
                               }) > 0);
  return whole;
}

std::string r1(const std::string& text) { return parse(ToolFormat::kR1, text); }
std::string listed(const std::string& inside) {
  return "<｜tool▁calls▁begin｜>" + inside + "<｜tool▁calls▁end｜>";
}

TEST(ToolCalls, R1) {
  EXPECT_EQ(r1(listed(kCall)), "|get_weather({\"city\": \"Xi'an\"})");
  EXPECT_EQ(r1(listed(kCall + "\n" + kSecond)),
            "|get_weather({\"city\": \"Xi'an\"})|add({\"a\":[1,2]})");
  EXPECT_EQ(r1("I'll look.\n" + listed(kCall) + " done"),
            "|I'll look.\n|get_weather({\"city\": \"Xi'an\"})| done");
  // The model ends its turn before the end marks.
  EXPECT_EQ(r1("<｜tool▁calls▁begin｜>" + kCall), "|get_weather({\"city\": \"Xi'an\"})");
  EXPECT_EQ(r1("<｜tool▁calls▁begin｜>" + kCall.substr(0, kCall.find("<｜tool▁call▁end"))),
            "|get_weather({\"city\": \"Xi'an\"})");
  // No fence, and a list that is never closed before text goes on.
  EXPECT_EQ(r1("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n{}"
               "<｜tool▁call▁end｜>\nand so on"),
            "|f({})|\nand so on");
}

TEST(ToolCalls, MalformedOnesAreText) {
  for (const std::string& text : {
           std::string("plain text, a < b, <｜tool"),
           std::string("<｜tool▁calls▁begin｜>"),
           listed("") + "x",
           std::string("<｜tool▁calls▁begin｜>nonsense"),
           std::string("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f"),
           std::string(
               "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
               "{\"a\":\n```"),
       }) {
    const std::string found = r1(text);
    EXPECT_EQ(found.find('('), std::string::npos) << text;
  }
  EXPECT_EQ(r1("<｜tool▁calls▁begin｜>nonsense"), "|<｜tool▁calls▁begin｜>nonsense");
  const auto bad_call = [](const std::string& name, const std::string& arguments) {
    return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + name + "\n```json\n" + arguments +
           "\n```<｜tool▁call▁end｜>";
  };
  for (const auto& [name, arguments] : std::vector<std::pair<std::string, std::string>>{
           {"f", "{\"a\": }"},
           {"f", "[1]"},
           {"f", "{\"a\": 1, \"a\": 2}"},
           {"", "{}"},
           {"two words", "{}"},
           {std::string(300, 'f'), "{}"},
           {"f", "{\"a\": \"\xff\"}"},
           {"f", std::string(3000, '[')},
       }) {
    const std::string call = bad_call(name, arguments);
    ToolCallParser parser(ToolFormat::kR1);
    std::vector<ToolEvent> events;
    parser.push(listed(call + kSecond), events);
    parser.finish(events);
    EXPECT_EQ(said(events), "|<｜tool▁calls▁begin｜>" + call + "|add({\"a\":[1,2]})") << name;
  }
}

TEST(ToolCalls, Hermes) {
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  EXPECT_EQ(parse(ToolFormat::kHermes, call), "|f({\"x\":1})");
  EXPECT_EQ(parse(ToolFormat::kHermes, "so: " + call + "\n" + call),
            "|so: |f({\"x\":1})|\n|f({\"x\":1})");
  EXPECT_EQ(parse(ToolFormat::kHermes, "<tool_call>{\"name\": \"f\"}"), "|f({})");
  for (const std::string text :
       {"<tool_call>{\"name\": 1}</tool_call>", "<tool_call>x</tool_call>",
        "<tool_call>{\"name\": \"f\", \"args\": {}}</tool_call>", "<tool_call>", "a <tool_ b"}) {
    EXPECT_EQ(parse(ToolFormat::kHermes, text), "|" + text);
  }
}

TEST(ToolCalls, Llama3) {
  EXPECT_EQ(parse(ToolFormat::kLlama3, "{\"name\": \"f\", \"parameters\": {\"x\": 1}}"),
            "|f({\"x\":1})");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}"),
            "|f({})");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "{\"an\": \"object\"}"), "|{\"an\": \"object\"}");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "Hello {"), "|Hello {");
}

TEST(ToolCalls, TextIsNotHeldBackLongerThanNeeded) {
  ToolCallParser parser(ToolFormat::kR1);
  std::vector<ToolEvent> events;
  parser.push("a <｜to", events);
  EXPECT_EQ(said(events), "|a ");
  parser.push("p", events);
  EXPECT_EQ(said(events), "|a <｜top");
}

TEST(ToolCalls, FormatsByTemplate) {
  EXPECT_EQ(tool_format("deepseek-r1"), ToolFormat::kR1);
  EXPECT_EQ(tool_format("deepseek-r1-older"), ToolFormat::kR1);
  EXPECT_EQ(tool_format("qwen2.5"), ToolFormat::kHermes);
  EXPECT_EQ(tool_format("llama3.1"), ToolFormat::kLlama3);
}

TEST(ToolCalls, Definitions) {
  const std::string tools =
      R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";
  const auto text = system_text_with_tools("Be brief.", tools, ToolFormat::kR1);
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(text->starts_with("Be brief.\n\n"));
  EXPECT_NE(text->find(R"({"name":"f","parameters":{"type":"object"}})"), std::string::npos);
  // What it tells the model to write is what the parser reads.
  const size_t begin = text->find("<｜tool▁calls▁begin｜>");
  const size_t end = text->find("<｜tool▁calls▁end｜>");
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(r1(text->substr(begin, end - begin) + "<｜tool▁calls▁end｜>"),
            "|NAME({\"argument\": \"value\"})");
  EXPECT_EQ(*system_text_with_tools("S", "[]", ToolFormat::kR1), "S");
  for (const char* bad : {"{}", "[1]", "[{}]", "[{\"type\":\"function\"}]", "[", "",
                          R"([{"type":"function","function":{"name":""}}])",
                          R"([{"type":"retrieval","function":{"name":"f"}}])"}) {
    const auto refused = system_text_with_tools("", bad, ToolFormat::kR1);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
    EXPECT_NE(refused.error().message.find("tools"), std::string::npos);
  }
}

}  // namespace
}  // namespace reckon
