// The wordings of questions in symbols.
#include "eval/wording.h"

#include <array>
#include <cctype>

namespace reckon::eval {
namespace {

constexpr auto kPatterns = std::to_array<std::string_view>({
    "What is {}?",
    "Compute {}.",
    "Calculate {}.",
    "{} =",
    "{} = ?",
    "{}",
    "{}?",
    "How much is {}?",
    "Evaluate {}.",
    "Work out {}.",
    "Find {}.",
    "What's {}?",
    "Solve {}.",
    "Can you compute {}?",
    "What does {} equal?",
    "Find the value of {}.",
    "Tell me {}.",
    "What is the value of {}?",
    "I need the result of {}.",
    "What is the result of {}?",
    "What do you get for {}?",
    "Please calculate {}.",
    "Give me the answer to {}.",
    "Quick: {}?",
    "Do you know what {} is?",
    "What would {} be?",
});

}  // namespace

std::string fill(std::string_view pattern, std::initializer_list<std::string_view> parts) {
  std::string text;
  const auto* part = parts.begin();
  for (size_t at = pattern.find("{}"); at != std::string_view::npos && part != parts.end();
       at = pattern.find("{}")) {
    text.append(pattern.substr(0, at)).append(*part++);
    pattern.remove_prefix(at + 2);
  }
  return text.append(pattern);
}

std::string spelled(Random& random, std::string_view expression) {
  const int64_t times = random.between(0, 9);
  const int64_t divided = random.between(0, 9);
  const bool blanks = random.chance(75);
  std::string text;
  for (size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    const bool sign = c == '-' && (i == 0 || expression[i - 1] == '(');
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '(' || c == ')' || sign) {
      text += c;
      continue;
    }
    if (blanks) text += ' ';
    if (c == '*' && times >= 6) {
      text += times == 9 ? "x" : "×";
    } else if (c == '/' && divided >= 7) {
      text += "÷";
    } else {
      text += c;
    }
    if (blanks) text += ' ';
  }
  return text;
}

std::string casual(Random& random, std::string question) {
  if (random.chance(12) && !question.empty()) {
    question[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(question[0])));
  }
  if (random.chance(6) && (question.ends_with('?') || question.ends_with('.'))) {
    question.pop_back();
  }
  if (random.chance(4)) question += " Please reason step by step.";
  return question;
}

std::string ask_for_value(Random& random, std::string expression) {
  return casual(random, fill(random.pick(kPatterns), {spelled(random, expression)}));
}

}  // namespace reckon::eval
