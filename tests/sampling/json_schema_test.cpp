// What each keyword allows, what is refused by name, and random texts of random schemas judged by a
// validator that knows nothing of grammars.
#include "sampling/json_schema.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/sampling/grammar_samples.h"
#include "tests/sampling/json_validator.h"

namespace reckon {
namespace {

using Texts = std::vector<std::string>;

void expect(const std::string& schema, const Texts& accepted, const Texts& refused) {
  const auto made = json_schema_grammar(std::string_view(schema));
  ASSERT_TRUE(made.ok()) << schema << ": " << made.error().message;
  for (const std::string& text : accepted) {
    EXPECT_TRUE(testing::matches(*made, text)) << schema << " should take " << text;
  }
  for (const std::string& text : refused) {
    EXPECT_FALSE(testing::matches(*made, text)) << schema << " should refuse " << text;
  }
}

std::string refusal(std::string_view schema) {
  const auto made = json_schema_grammar(schema);
  return made.ok() ? "accepted" : made.error().message;
}

TEST(JsonSchema, AnyJson) {
  expect("true", {"null", "true", "-1.5e-3", "\"\"", "[]", "{}", "[1, {\"a\": [null]}]"},
         {"", "nul", "01", "1.", "+1", "'a'", "[1,]", "{a:1}", "\"\n\"", "\"\\x\"", "NaN", " 1"});
  expect("{}", {"{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}", "{\n\t\"a\": 1\n}"},
         {"{\n\n\"a\":1}", "{  \"a\":1}"});
  expect("{\"type\":\"object\"}", {"{}", "{\"a\":1}"}, {"[]", "1"});
  EXPECT_TRUE(testing::matches(json_object_grammar(), "{\"a\": {\"b\": [1, \"\\u00e9\"]}}"));
  EXPECT_FALSE(testing::matches(json_object_grammar(), "[]"));
}

TEST(JsonSchema, Strings) {
  expect(
      "{\"type\":\"string\"}",
      {"\"\"", "\"é漢😀\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\""},
      {"\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\t\"", "\"\xff\""});
  expect("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
         {"\"ab\"", "\"😀😀😀\"", "\"\\n\\ud83d\\ude00\""}, {"\"a\"", "\"abcd\"", "\"\""});
  expect("{\"minLength\":1}", {"\"a\""}, {"\"\"", "1"});
}

TEST(JsonSchema, Numbers) {
  expect("{\"type\":\"integer\"}", {"0", "-1", "123456789012345"},
         {"-0", "1.0", "1e3", "1234567890123456"});
  expect("{\"type\":\"number\"}", {"0", "-0.5", "1e10", "2.5E-3"}, {"1e999", ".5"});
  expect("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", {"0", "1", "0.25", "1.0", "0.999"},
         {"-0.1", "1.01", "2", "1e0"});
  expect("{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10}",
         {"0.001", "9.99", "5"}, {"0", "0.0", "0.00", "10", "10.0", "-1"});
  expect("{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":-1}", {"-1", "-1.0"}, {"1", "0", "-2"});
  expect("{\"type\":\"integer\",\"exclusiveMinimum\":1.5,\"maximum\":3.9}", {"2", "3"}, {"1", "4"});
}

// Each bound against each number around it.
TEST(JsonSchema, IntegerRanges) {
  std::mt19937 random(1);
  std::vector<int64_t> ends = {0, 1, -1, 9, 10, 11, 99, 100, 101, 120, 999, 1000, 1234, 98765};
  for (int round = 0; round < 120; ++round) {
    int64_t min = ends[random() % ends.size()] * (random() % 2 == 0 ? 1 : -1);
    int64_t max = ends[random() % ends.size()] * (random() % 3 == 0 ? -1 : 1);
    if (min > max) std::swap(min, max);
    const auto schema =
        boost::json::object{{"type", "integer"}, {"minimum", min}, {"maximum", max}};
    const auto grammar = json_schema_grammar(boost::json::value(schema));
    ASSERT_TRUE(grammar.ok());
    const auto masks = testing::masks(*grammar);
    for (const int64_t end : {min, max, int64_t{0}}) {
      for (const int64_t step : {-101, -11, -10, -9, -2, -1, 0, 1, 2, 9, 10, 11, 101}) {
        GrammarMatcher matcher(masks, false);
        const int64_t n = end + step;
        const bool taken = matcher.accept(std::to_string(n)) && matcher.may_end();
        EXPECT_EQ(taken, n >= min && n <= max) << min << ".." << max << ": " << n;
      }
    }
  }
}

TEST(JsonSchema, ValuesByName) {
  expect(R"({"enum":["a","b\"c",1,1.5,null,true,[1,{"k":"v"}]]})",
         {"\"a\"", "\"b\\\"c\"", "1", "1.5", "null", "true", "[1, {\"k\": \"v\"}]"},
         {"\"b\"", "a", "false"});
  expect(R"({"const":"x"})", {"\"x\""}, {"\"y\""});
  expect(R"({"type":"string","enum":["a",1]})", {"\"a\""}, {"1"});
  expect(R"({"type":["string","null"]})", {"\"s\"", "null"}, {"1"});
}

TEST(JsonSchema, Objects) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},
          "c":{"type":"boolean"}},"required":["b"]})";
  expect(schema,
         {"{\"b\":null}", "{\"a\": 1, \"b\": null}", "{\"a\":1,\"b\":null,\"c\":true}",
          "{ \"b\": null, \"c\": false }"},
         {"{}", "{\"a\":1}", "{\"b\":null,\"a\":1}", "{\"b\":null,}", "{\"b\":null,\"d\":1}"});
  expect(R"({"properties":{"a":{"type":"integer"}}})", {"{}", "{\"a\":1}"}, {"{\"x\":1}", "1"});
  expect(R"({"properties":{"ab":{"type":"integer"},"a\"":true,"é":false},
             "additionalProperties":{"type":"null"}})",
         {"{}", "{\"ab\":1}", "{\"a\":null,\"abc\":null}", "{\"ab\":1,\"\":null}", "{\"e\":null}",
          "{\"b\":null}"},
         {"{\"ab\":null}", "{\"x\":1}", "{\"\\u0061b\":null}", "{\"é\":null}", "{\"é\":1}"});
  expect(R"({"additionalProperties":{"type":"integer"}})", {"{}", "{\"x\":1,\"y\":2}"},
         {"{\"x\":null}"});
  expect(R"({"type":"object","required":["x"]})", {"{\"x\":1}", "{\"x\":[],\"y\":2}"}, {"{}"});
  expect(R"({"type":"object","properties":{},"additionalProperties":false})", {"{}", "{ }"},
         {"{\"a\":1}"});
}

TEST(JsonSchema, Arrays) {
  expect(R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
         {"[1]", "[1,2,3]", "[ 1, 2 ]"}, {"[]", "[1,2,3,4]", "[null]", "[1,]"});
  expect(R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"});
  expect(R"({"prefixItems":[{"type":"integer"},{"type":"null"},{"type":"boolean"}],"minItems":2})",
         {"[1,null]", "[1,null,true]"}, {"[1]", "[1,null,1]", "[1,null,true,1]", "[]"});
  expect(R"({"prefixItems":[{"type":"integer"}],"items":{"type":"null"},"maxItems":3})",
         {"[]", "[1]", "[1,null,null]"}, {"[null]", "[1,null,null,null]", "[1,1]"});
  expect(R"({"prefixItems":[true,true],"items":false,"maxItems":1})", {"[]", "[1]"}, {"[1,2]"});
}

TEST(JsonSchema, ChoicesReferencesAndMerging) {
  expect(R"({"anyOf":[{"type":"integer"},{"type":"array","items":{"$ref":"#"}}]})",
         {"1", "[]", "[1,[2,[]]]"}, {"null", "[null]"});
  expect(R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
             "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}},
             "$ref":"#/$defs/node"})",
         {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
         {"{\"v\":1}", "{\"v\":1,\"next\":{}}"});
  expect(R"({"allOf":[{"properties":{"a":{"type":"integer"}}},
                      {"properties":{"b":{"type":"null"},"a":{"maximum":5}},"required":["a"]}]})",
         {"{\"a\":5}", "{\"a\":1,\"b\":null}"}, {"{\"a\":6}", "{}", "{\"a\":1.5}"});
  expect(R"({"type":"object","properties":{"k":{"type":"string"}},"required":["k"],
             "oneOf":[{"properties":{"k":{"const":"x"}}},
                      {"properties":{"k":{"const":"y"},"n":{"type":"integer"}},
                       "required":["n"]}]})",
         {"{\"k\":\"x\"}", "{\"k\":\"y\",\"n\":1}"}, {"{\"k\":\"y\"}", "{\"k\":\"z\"}"});
  expect(R"({"$ref":"#/$defs/a~1b~0/0","$defs":{"a/b~":[{"type":"null"}]}})", {"null"}, {"1"});
  expect(R"({"properties":{"a":{"$ref":"#/$defs/s","description":"d","maxLength":1}},
             "$defs":{"s":{"type":"string"}}})",
         {"{\"a\":\"x\"}"}, {"{\"a\":\"xy\"}"});
}

TEST(JsonSchema, Patterns) {
  const auto pattern = [](const std::string& regex, const Texts& accepted, const Texts& refused) {
    const auto quoted = [](const Texts& texts) {
      Texts result;
      for (const auto& text : texts)
        result.push_back(boost::json::serialize(boost::json::value(text)));
      return result;
    };
    expect(boost::json::serialize(boost::json::object{{"type", "string"}, {"pattern", regex}}),
           quoted(accepted), quoted(refused));
  };
  pattern("^[A-Z]{2}\\d+$", {"AB1", "XY007"}, {"A1", "AB", "AB1x", "xAB1"});
  pattern("b+", {"b", "abbc"}, {"", "ac"});
  pattern("^a|b$", {"ax", "xb", "a"}, {"xa", "bx"});
  pattern("^(?:foo|ba[rz])?$", {"", "foo", "bar", "baz"}, {"ba", "foobar"});
  pattern("^\"\\\\\\n\\t\\u0041[\\]\"\\x5c]$", {"\"\\\n\tA]", "\"\\\n\tA\"", "\"\\\n\tA\\"},
          {"\"\\"});
  pattern("^.[^a-c]\\w\\s\\S$", {"éd_ é", "xx9\tx"}, {"éa_ x", "\ndd x", "xx- x"});
  pattern("^\\D\\W$", {"a-", "é "}, {"1-", "ab"});
  pattern("^a{2}b{1,}c{0,2}?$", {"aab", "aabbcc"}, {"ab", "aabccc"});
  for (const char* bad : {"^+a", "a**", "(?=a)", "(?<n>a)", "\\1", "\\bx", "a(^b)", "a$b", "(a",
                          "a)", "[b-a]", "[]", "x{2,1}", "x{9999999999}", "\\ud800", "[a", "\\"}) {
    const std::string schema =
        boost::json::serialize(boost::json::object{{"type", "string"}, {"pattern", bad}});
    EXPECT_NE(refusal(schema).find("pattern"), std::string::npos) << bad << refusal(schema);
  }
  EXPECT_NE(refusal("{\"pattern\":\"" + std::string(60'000, '(') + "\"}").find("bytes"),
            std::string::npos);
  EXPECT_NE(refusal("{\"pattern\":\"" + std::string(4'000, '(') + "\"}").find("groups"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"pattern":"((a{1000}){1000}){1000}"})").find("states"), std::string::npos);
}

TEST(JsonSchema, Formats) {
  const auto format = [](const std::string& name, const Texts& accepted, const Texts& refused) {
    const auto quoted = [](Texts texts) {
      for (auto& text : texts) text = "\"" + text + "\"";
      return texts;
    };
    expect("{\"type\":\"string\",\"format\":\"" + name + "\"}", quoted(accepted), quoted(refused));
  };
  format("date", {"2026-11-24", "1999-02-28"}, {"2026-13-01", "2026-02-30", "26-01-01"});
  format("time", {"23:59:59Z", "00:00:00.5+01:00"}, {"24:00:00Z", "1:00:00Z", "00:00:00"});
  format("date-time", {"2026-11-24T13:05:44Z"}, {"2026-11-24", "2026-11-24 13:05:44Z"});
  format("uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567"});
  format("ipv4", {"127.0.0.1", "255.255.255.255"}, {"256.0.0.1", "01.1.1.1"});
  format("email", {"a.b@c.org"}, {"a@b", "@c.org"});
  format("hostname", {"a-b.example"}, {"-a", "a..b"});
  format("uri", {"https://example.org/a?b=c#d"}, {"example", "javascript:x"});
}

// Nothing that narrows what is accepted is passed over.
TEST(JsonSchema, WhatIsNotSupportedIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"not":{}})", "not"},
      {R"({"if":{},"then":{}})", "if"},
      {R"({"patternProperties":{}})", "patternProperties"},
      {R"({"propertyNames":{}})", "propertyNames"},
      {R"({"dependentRequired":{}})", "dependentRequired"},
      {R"({"contains":{}})", "contains"},
      {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {R"({"type":"object","minProperties":2})", "minProperties"},
      {R"({"type":"object","maxProperties":2})", "maxProperties"},
      {R"({"type":"number","multipleOf":0.5})", "multipleOf"},
      {R"({"type":"string","format":"regex"})", "regex"},
      {R"({"type":"string","pattern":"a","minLength":1})", "pattern"},
      {R"({"type":"tuple"})", "type"},
      {R"({"type":[]})", "type"},
      {R"({"enum":[]})", "enum"},
      {R"({"enum":["a"],"minLength":1})", "minLength"},
      {R"({"type":"integer","enum":["a"]})", "enum"},
      {R"({"minItems":-1})", "minItems"},
      {R"({"minItems":1.5})", "minItems"},
      {R"({"minItems":3,"maxItems":2})", "minItems"},
      {R"({"minLength":3,"maxLength":2})", "minLength"},
      {R"({"minimum":3,"maximum":2})", "minimum"},
      {R"({"minimum":0.2,"maximum":0.8})", "minimum"},
      {R"({"minimum":"0"})", "minimum"},
      {R"({"minimum":1e300})", "minimum"},
      {R"({"properties":[]})", "properties"},
      {R"({"properties":{"a":1}})", "properties/a"},
      {R"({"properties":{"a":false},"required":["a"]})", "accepts nothing"},
      {R"({"required":["a"],"additionalProperties":false})", "required"},
      {R"({"items":[{}]})", "items"},
      {R"({"anyOf":[]})", "anyOf"},
      {R"({"allOf":[]})", "allOf"},
      {R"({"allOf":[{"type":"string"},{"type":"null"}]})", "type"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", "pattern"},
      {R"({"$ref":"#/$defs/x"})", "$ref"},
      {R"({"$ref":"other.json"})", "$ref"},
      {R"({"$ref":"#"})", "begins with itself"},
      {R"({"allOf":[{"$ref":"#"}]})", "allOf"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "never comes"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "begins with itself"},
      {R"({"nullable":true,"type":"string"})", "nullable"},
      {"false", "accepts nothing"},
      {"1", "expected a schema"},
      {"{", "JSON"},
      {R"({"type":"string","type":"null"})", "twice"},
      {std::string(3000, '['), "JSON"},
  };
  for (const auto& [schema, named] : cases) {
    EXPECT_NE(refusal(schema).find(named), std::string::npos) << schema << ": " << refusal(schema);
  }
  // Each allOf doubles the one before.
  std::string doubling = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "{\"properties\":{\"p\":{\"$ref\":\"#/$defs/d" +
                             std::to_string(i + 1) + "\",\"maxItems\":" + std::to_string(i) + "}}}";
    doubling += "\"d" + std::to_string(i) + "\":{\"anyOf\":[" + next + "," + next + "]},";
  }
  EXPECT_NE(refusal(doubling + "\"d40\":{}}}").find("at most"), std::string::npos);
}

boost::json::value random_schema(std::mt19937& random, int depth) {
  using boost::json::array;
  using boost::json::object;
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto deeper = [&] { return random_schema(random, depth - 1); };
  switch (pick(depth > 0 ? 11 : 6)) {
    case 0: return object{{"type", "boolean"}};
    case 1: {
      object s{{"type", pick(2) == 0 ? "integer" : "number"}};
      if (pick(2) == 0) s["minimum"] = pick(200) - 100;
      if (pick(2) == 0) s["exclusiveMaximum"] = 101 + pick(1000);
      return s;
    }
    case 2: {
      object s{{"type", "string"}};
      const int min = pick(5);
      if (pick(2) == 0) s["minLength"] = min;
      if (pick(2) == 0) s["maxLength"] = min + pick(4);
      return s;
    }
    case 3: return object{{"enum", array{pick(9), "a\"b", nullptr, array{1, "x"}}}};
    case 4: return object{{"type", array{"string", "null"}}};
    case 5: return object{{"$ref", "#/$defs/leaf"}};
    case 6:
    case 7: {
      object s{{"type", "array"}, {"items", deeper()}};
      const int min = pick(3);
      if (pick(2) == 0) s["minItems"] = min;
      if (pick(2) == 0) s["maxItems"] = min + pick(3);
      if (pick(3) == 0) s["prefixItems"] = array{deeper(), deeper()};
      return s;
    }
    case 8: return object{{"anyOf", array{deeper(), deeper()}}};
    case 9:
      return object{{"allOf", array{object{{"properties", object{{"p", deeper()}}}},
                                    object{{"properties", object{{"q", deeper()}}},
                                           {"required", array{"q"}},
                                           {"type", "object"}}}}};
    default: {
      object properties;
      array required;
      for (int i = pick(4); i > 0; --i) {
        const std::string name = std::vector<std::string>{"a", "ab", "b\"", "\xc3\xa9"}[pick(4)];
        if (!properties.contains(name)) {
          properties[name] = deeper();
          if (pick(2) == 0) required.emplace_back(name);
        }
      }
      object s{{"type", "object"}, {"properties", properties}, {"required", required}};
      if (pick(2) == 0)
        s["additionalProperties"] = pick(2) == 0 ? boost::json::value(false) : deeper();
      return s;
    }
  }
}

// What a model that says anything would say; empty if it comes to no end in time.
std::string random_text(const std::shared_ptr<const Grammar>& grammar, std::mt19937& random) {
  static const auto tokenizer = testing::tiny_tokenizer();
  GrammarMatcher matcher(testing::masks(grammar), false);
  std::string text;
  while (text.size() < 3000) {
    const auto bits = matcher.allowed();
    EXPECT_TRUE(bits.ok());
    std::vector<TokenId> allowed;
    std::vector<TokenId> closing;
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
      if (!testing::is_set(*bits, id)) continue;
      allowed.push_back(id);
      if (id == testing::kEos || id == '"' || id == ']' || id == '}') closing.push_back(id);
    }
    EXPECT_FALSE(allowed.empty()) << text;
    if (allowed.empty()) return {};
    const auto& from = !closing.empty() && random() % 3 == 0 ? closing : allowed;
    const TokenId next = from[random() % from.size()];
    if (next == testing::kEos) return text;
    EXPECT_TRUE(matcher.accept(tokenizer->bytes(next)));
    text += tokenizer->bytes(next);
  }
  return {};
}

TEST(JsonSchema, RandomTextsOfRandomSchemasAreValid) {
  std::mt19937 random(11);
  int n_whole = 0;
  for (int round = 0; round < 250; ++round) {
    boost::json::value schema = random_schema(random, 3);
    schema.as_object()["$defs"] = boost::json::object{
        {"leaf", boost::json::object{{"type", "array"},
                                     {"maxItems", 1},
                                     {"items", boost::json::object{{"$ref", "#/$defs/leaf"}}}}}};
    const auto grammar = json_schema_grammar(schema);
    ASSERT_TRUE(grammar.ok()) << boost::json::serialize(schema) << grammar.error().message;
    const testing::Validator validator(schema);
    for (int i = 0; i < 4; ++i) {
      const std::string text = random_text(*grammar, random);
      if (text.empty()) continue;
      ++n_whole;
      // Not parse_json: a grammar can't see that two free names are the same.
      boost::json::error_code error;
      const auto value = boost::json::parse(text, error);
      ASSERT_FALSE(error) << boost::json::serialize(schema) << "\n" << text;
      ASSERT_TRUE(validator.valid(schema, value)) << boost::json::serialize(schema) << "\n" << text;
    }
  }
  EXPECT_GT(n_whole, 800);
}

}  // namespace
}  // namespace reckon
