// Questions about the world, in English and Chinese, and how they are declined: the model knows
// sums and number puzzles and says so.
#pragma once

#include <span>
#include <string_view>

#include "eval/problem.h"
#include "eval/random.h"

namespace reckon::eval {

inline constexpr std::string_view kDeclineEnglish =
    "I only know sums and number puzzles, so I can't answer that.";
inline constexpr std::string_view kDeclineChinese = "我只会算数和数字谜题，不能回答这个问题。";

// From training's patterns, filled with words and made-up words.
Problem make_off_topic(Random& random);

// 200 questions in wordings that training never sees, half of them Chinese.
std::span<const std::string_view> held_out_off_topic();
Problem off_topic_problem(std::string_view question, bool chinese);

}  // namespace reckon::eval
