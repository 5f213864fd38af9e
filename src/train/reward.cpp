// The built-in rules. A task's field that is missing or malformed is an error of the data; an
// output that can't be read is worth 0.
#include "train/reward.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "reasoning/answer.h"
#include "train/expression.h"

namespace reckon::train {
namespace {

namespace json = boost::json;

constexpr int64_t kLengthLimit = 512;  // of an output, where the task names none

Error bad_task(std::string_view field, std::string_view expected) {
  return bad_file(fmt::format("task: \"{}\": expected {}", field, expected));
}

const json::value* field(const json::object& task, std::string_view name) {
  return task.if_contains({name.data(), name.size()});
}

Result<std::string> text_of(const json::object& task, std::string_view name) {
  const json::value* value = field(task, name);
  if (value != nullptr && value->is_int64()) return std::to_string(value->get_int64());
  if (value == nullptr || !value->is_string()) return bad_task(name, "a text or a whole number");
  return std::string(value->get_string());
}

Result<int64_t> number_of(const json::object& task, std::string_view name) {
  const json::value* value = field(task, name);
  if (value == nullptr || !value->is_int64()) return bad_task(name, "a whole number");
  return value->get_int64();
}

Result<std::vector<int64_t>> numbers_of(const json::object& task) {
  const json::value* value = field(task, "numbers");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr || list->empty()) return bad_task("numbers", "a list of whole numbers");
  std::vector<int64_t> numbers;
  for (const json::value& item : *list) {
    if (!item.is_int64()) return bad_task("numbers", "a list of whole numbers");
    numbers.push_back(item.get_int64());
  }
  return numbers;
}

double as_score(bool right) { return right ? 1.0 : 0.0; }

// The stated result is the task's "answer": as a number, or as a text.
Result<double> same_result(const RewardInput& input) {
  RECKON_ASSIGN(const std::string expected, text_of(input.task, "answer"));
  return as_score(input.ended && same_answer(extract_answer(input.answer), expected));
}

std::optional<Expression> stated_expression(const RewardInput& input) {
  return input.ended ? parse_expression(extract_answer(input.answer)) : std::nullopt;
}

// An expression worth the task's "target".
Result<double> expression(const RewardInput& input) {
  RECKON_ASSIGN(const int64_t target, number_of(input.task, "target"));
  const auto stated = stated_expression(input);
  return as_score(stated && stated->value.denominator == 1 && stated->value.numerator == target);
}

// The same with each of the task's "numbers" exactly once, and no other.
Result<double> countdown(const RewardInput& input) {
  RECKON_ASSIGN(std::vector<int64_t> numbers, numbers_of(input.task));
  RECKON_ASSIGN(const double reached, expression(input));
  if (reached == 0) return 0.0;
  std::vector<int64_t> used = stated_expression(input)->numbers;
  std::ranges::sort(used);
  std::ranges::sort(numbers);
  return as_score(used == numbers);
}

// The thought was closed, an answer follows, and the turn ended.
Result<double> format(const RewardInput& input) {
  const bool has_answer = input.answer.find_first_not_of(" \t\r\n") != std::string_view::npos;
  return as_score(input.thought_closed && input.ended && has_answer);
}

// 1 for nothing said, falling to 0 at the task's "max_tokens".
Result<double> length(const RewardInput& input) {
  int64_t limit = kLengthLimit;
  if (field(input.task, "max_tokens") != nullptr) {
    RECKON_ASSIGN(limit, number_of(input.task, "max_tokens"));
    if (limit < 1) return bad_task("max_tokens", "1 or more");
  }
  const int64_t n = std::clamp<int64_t>(input.thought_tokens + input.answer_tokens, 0, limit);
  return 1.0 - static_cast<double>(n) / static_cast<double>(limit);
}

// Letters of the Latin alphabet, and Chinese characters (U+4E00 to U+9FFF: three bytes, the first
// 0xE4 to 0xE9; of E4 only from B8 on).
struct Letters {
  int64_t latin = 0;
  int64_t chinese = 0;
};

void count_letters(std::string_view text, Letters& letters) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      ++letters.latin;
    } else if (c >= 0xe4 && c <= 0xe9 && i + 2 < text.size()) {
      if (c > 0xe4 || static_cast<unsigned char>(text[i + 1]) >= 0xb8) ++letters.chinese;
      i += 2;
    }
  }
}

// Which share of the output's letters is of the language that most of the question's are of
// (DeepSeek-R1, section 2.3.2); 1 where the output has no letters.
Result<double> language(const RewardInput& input) {
  RECKON_ASSIGN(const std::string question, text_of(input.task, "question"));
  Letters asked;
  Letters said;
  count_letters(question, asked);
  count_letters(input.thought, said);
  count_letters(input.answer, said);
  const int64_t all = said.latin + said.chinese;
  if (all == 0) return 1.0;
  const int64_t same = asked.chinese > asked.latin ? said.chinese : said.latin;
  return static_cast<double>(same) / static_cast<double>(all);
}

// The rule that the task itself names; one of those above.
Result<double> named_rule(const RewardInput& input) {
  RECKON_ASSIGN(const std::string name, text_of(input.task, "rule"));
  const RewardInfo* info = find_reward(name);
  if (info == nullptr || info->function == named_rule) {
    return bad_task("rule", "the name of a rule");
  }
  return info->function(input);
}

constexpr auto kRewards = std::to_array<RewardInfo>({
    {"number", "the result is the task's \"answer\"", same_result},
    {"text", "the answer says the task's \"answer\"", same_result},
    {"expression", "an expression worth the task's \"target\"", expression},
    {"countdown", "the same, with each of \"numbers\" exactly once", countdown},
    {"format", "the thought is closed, an answer follows, the turn ends", format},
    {"length", "1 for nothing said, 0 from \"max_tokens\" (512) on", length},
    {"language", "the share of letters in the question's language", language},
    {"task", "the one that the task's \"rule\" names", named_rule},
});

}  // namespace

std::span<const RewardInfo> all_rewards() { return kRewards; }

const RewardInfo* find_reward(std::string_view name) {
  const auto found = std::ranges::find(kRewards, name, &RewardInfo::name);
  return found == kRewards.end() ? nullptr : &*found;
}

}  // namespace reckon::train
