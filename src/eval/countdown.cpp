// One fixed order of trying on the numbers sorted, in which every step can be told from what stands
// beside it: all plus and minus (with S the sum of all, the signs that reach t take away numbers
// that sum to (S - t) / 2); a table of the products and quotients of two numbers, each with plus
// and minus around it; then the target, and the target with one number added or taken away, as a
// product or a quotient of what the others make; then as that of two pairs. What is left out are
// the ways that need products of two large numbers. What is found is written out from the target
// down: "54=42+12=14*3+12=(9+5)*3+12".
#include "eval/countdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "eval/wording.h"

namespace reckon::eval {
namespace {

// Products above this are not tried: what is added or taken away is below it.
constexpr int64_t kLargestProduct = 200;
constexpr int64_t kLargestFactor = 12;

// A number, or an expression that stands for one.
struct Term {
  int64_t value = 0;
  // The value, then the expression with more and more of its parts written out: "42", "14*3",
  // "(9+5)*3".
  std::vector<std::string> forms;
  bool is_sum = false;
};

using Terms = std::vector<Term>;

Term number_of(int64_t value) {
  return {.value = value, .forms = {std::to_string(value)}, .is_sum = false};
}

// A term within an expression: what stands in front, and where brackets must be around its forms.
struct Part {
  std::string_view before;
  const Term& term;
  bool brackets;

  std::string text(size_t form) const {
    const bool bare = form == 0 || !brackets;
    return fmt::format(fmt::runtime(bare ? "{}{}" : "{}({})"), before, term.forms[form]);
  }
};

// Writes the parts out one after the other.
Term made_of(int64_t value, const std::vector<Part>& parts, bool is_sum) {
  Term made{.value = value, .forms = {std::to_string(value)}, .is_sum = is_sum};
  std::vector<size_t> forms(parts.size(), 0);
  const auto add = [&] {
    std::string& text = made.forms.emplace_back();
    for (size_t i = 0; i < parts.size(); ++i) text += parts[i].text(forms[i]);
  };
  add();
  for (size_t i = 0; i < parts.size(); ++i) {
    while (forms[i] + 1 < parts[i].term.forms.size()) {
      ++forms[i];
      add();
    }
  }
  return made;
}

Term sum_of(const Terms& terms, const std::vector<bool>& minus) {
  std::vector<Part> parts;
  int64_t value = 0;
  for (const bool sign : {false, true}) {
    for (size_t i = 0; i < terms.size(); ++i) {
      if (minus[i] != sign) continue;
      parts.push_back({.before = sign            ? "-"
                                 : parts.empty() ? ""
                                                 : "+",
                       .term = terms[i],
                       .brackets = sign && terms[i].is_sum});
      value += sign ? -terms[i].value : terms[i].value;
    }
  }
  return made_of(value, parts, true);
}

Term product_of(const Term& a, const Term& b) {
  return made_of(a.value * b.value,
                 {{.before = "", .term = a, .brackets = a.is_sum},
                  {.before = "*", .term = b, .brackets = b.is_sum}},
                 false);
}

// b's own brackets: a quotient after / would be read from the left.
Term quotient_of(const Term& a, const Term& b) {
  return made_of(a.value / b.value,
                 {{.before = "", .term = a, .brackets = a.is_sum},
                  {.before = "/", .term = b, .brackets = true}},
                 false);
}

Terms without(const Terms& terms, size_t i, size_t j) {
  Terms rest;
  for (size_t k = 0; k < terms.size(); ++k) {
    if (k != i && k != j) rest.push_back(terms[k]);
  }
  return rest;
}

class Search {
 public:
  Search(const std::vector<int64_t>& numbers, int64_t target) : target_(target) {
    for (const int64_t number : numbers) {
      numbers_.push_back(number_of(number));
    }
    std::ranges::stable_sort(numbers_, std::ranges::greater(), &Term::value);
  }

  CountdownWork run() {
    for (const Term& number : numbers_) text_ += fmt::format("{} ", number.value);
    text_.back() = '\n';
    plus_minus(numbers_, target_);
    if (!found_) {
      text_ += "\nwait\n";
      write_table();
    }
    for (size_t i = 0; i < table_.size() && !found_; ++i) around(table_[i]);
    if (!found_) {
      text_ += fmt::format("\n{}:", target_);
      as_product(numbers_, target_);
    }
    for (size_t i = 0; i < numbers_.size() && !found_ && numbers_.size() == 4; ++i) {
      beside(numbers_[i], without(numbers_, i, i), false);
      if (!found_) beside(numbers_[i], without(numbers_, i, i), true);
    }
    for (size_t i = 1; i < numbers_.size() && !found_ && numbers_.size() == 4; ++i) pairs(i);
    if (!found_) return {.thought = text_ + "\nnone", .expression = {}};
    return {.thought = fmt::format("{} yes {}", text_, fmt::join(found_->forms, "=")),
            .expression = found_->forms.back()};
  }

 private:
  // A product or quotient of two of the numbers, what it looks like, and the numbers left.
  struct Entry {
    Term term;
    std::string shown;
    Terms rest;
  };

  // "25+7=32+3=35 35-15=20 10 no 25": signs that make the terms the goal. Sets found_, or ends in
  // what rules them out.
  void plus_minus(const Terms& terms, int64_t goal) {
    if (terms.size() == 2) return pair(terms, goal);
    text_ += std::to_string(terms[0].value);
    int64_t sum = terms[0].value;
    for (size_t i = 1; i < terms.size(); ++i) {
      sum += terms[i].value;
      text_ += fmt::format("+{}={}", terms[i].value, sum);
    }
    std::vector<bool> minus(terms.size(), false);
    if (sum == goal) return finish(terms, minus);
    if (sum < goal) {
      text_ += " low";
      return;
    }
    text_ += fmt::format(" {}-{}={}", sum, goal, sum - goal);
    if ((sum - goal) % 2 != 0) {
      text_ += " odd";
      return;
    }
    half(terms, (sum - goal) / 2, goal);
  }

  // Numbers to take away that sum to half: one, all but one, two.
  void half(const Terms& terms, int64_t half, int64_t goal) {
    std::vector<bool> minus(terms.size(), false);
    text_ += fmt::format(" {}", half);
    for (size_t i = 0; i < terms.size(); ++i) {
      if (terms[i].value != half) continue;
      minus[i] = true;
      return finish(terms, minus);
    }
    text_ += fmt::format(" no {}", goal + half);
    for (size_t i = 0; i < terms.size(); ++i) {
      if (terms[i].value != goal + half) continue;
      minus.assign(terms.size(), true);
      minus[i] = false;
      return finish(terms, minus);
    }
    text_ += " no";
    for (size_t i = 0; i + 1 < terms.size() && terms.size() == 4; ++i) {
      if (terms[i].value >= half) continue;
      const int64_t other = half - terms[i].value;
      text_ += fmt::format(" {}-{}={}", half, terms[i].value, other);
      for (size_t j = i + 1; j < terms.size(); ++j) {
        if (terms[j].value != other) continue;
        minus[i] = minus[j] = true;
        return finish(terms, minus);
      }
      text_ += " no";
    }
  }

  // "25+7=32 25-7=18": sum or difference that is the goal.
  void pair(const Terms& terms, int64_t goal) {
    for (const bool minus : {false, true}) {
      const Term made = sum_of(terms, {false, minus});
      text_ += fmt::format("{}{}{}{}={}", minus ? " " : "", terms[0].value, minus ? '-' : '+',
                           terms[1].value, made.value);
      if (made.value == goal) {
        found_ = made;
        return;
      }
    }
    text_ += " no";
  }

  void finish(const Terms& terms, const std::vector<bool>& minus) { found_ = sum_of(terms, minus); }

  // Each number but the largest, and the larger ones with what they make with it: "6: 96/16 39
  // 13*78".
  void write_table() {
    for (size_t j = 1; j < numbers_.size(); ++j) {
      const Term& b = numbers_[j];
      text_ += fmt::format("{}{}:", j == 1 ? "" : " ", b.value);
      for (size_t i = 0; i < j; ++i) {
        const Term& a = numbers_[i];
        text_ += fmt::format(" {}", a.value);
        if (b.value > 1 && a.value % b.value == 0) enter('/', quotient_of(a, b), i, j);
        if (b.value <= kLargestFactor && a.value * b.value <= kLargestProduct) {
          enter('*', product_of(a, b), i, j);
        }
      }
    }
  }

  void enter(char operation, const Term& term, size_t i, size_t j) {
    text_ += fmt::format("{}{}", operation, term.value);
    table_.push_back({.term = term,
                      .shown = fmt::format("{}{}{}={}", numbers_[i].value, operation,
                                           numbers_[j].value, term.value),
                      .rest = without(numbers_, i, j)});
  }

  // What the numbers left would have to make, and what they leave to it: "22/2=11: 36+4=40 42-40=2
  // 42+40=82 36-4=32 42-32=10 42+32=74 no".
  void around(const Entry& entry) {
    const Term& made = entry.term;
    text_ += fmt::format("\n{}:", entry.shown);
    if (entry.rest.size() == 1) {
      wanted(made, entry.rest[0]);
    } else {
      const Term& a = entry.rest[0];
      const Term& b = entry.rest[1];
      const bool over = made.value > 1 && target_ * made.value <= kLargestProduct;
      const bool times = made.value > 1 && target_ % made.value == 0;
      if (over) text_ += fmt::format(" {}*{}={}", target_, made.value, target_ * made.value);
      if (times) text_ += fmt::format(" {}/{}={}", target_, made.value, target_ / made.value);
      for (const bool minus : {false, true}) {
        if (found_) return;
        const Term rest = sum_of({a, b}, {false, minus});
        text_ += fmt::format(" {}{}{}={}", a.value, minus ? '-' : '+', b.value, rest.value);
        if (over && rest.value == target_ * made.value) {
          found_ = quotient_of(rest, made);
        } else if (times && rest.value == target_ / made.value) {
          found_ = product_of(rest, made);
        } else {
          wanted(made, rest);
        }
      }
    }
    if (!found_) text_ += " no";
  }

  // The values of made that reach the target with rest: the target without it, and with it.
  void wanted(const Term& made, const Term& rest) {
    const int64_t more = std::max(target_, rest.value);
    const int64_t less = std::min(target_, rest.value);
    text_ += fmt::format(" {}-{}={}", more, less, more - less);
    if (made.value == more - less) {
      found_ = target_ >= rest.value ? sum_of({made, rest}, {false, false})
                                     : sum_of({rest, made}, {false, true});
      return;
    }
    text_ += fmt::format(" {}+{}={}", target_, rest.value, target_ + rest.value);
    if (made.value == target_ + rest.value) found_ = sum_of({made, rest}, {false, true});
  }

  // The goal as z times what the others make (/), that over z (*), or z over that (\), z being each
  // of the terms: " 25 7 3/18: 25+7=32 25-7=18".
  void as_product(const Terms& terms, int64_t goal) {
    for (size_t i = 0; i < terms.size() && !found_; ++i) {
      const Term& z = terms[i];
      text_ += fmt::format(" {}", z.value);
      if (z.value < 2) continue;
      const Terms rest = without(terms, i, i);
      const auto attempt = [&](char operation, int64_t other, const auto& make) {
        text_ += fmt::format("{}{}: ", operation, other);
        plus_minus(rest, other);
        if (!found_ && operation == '/' && rest.size() == 3) over_one(rest, other);
        if (found_) found_ = make(*found_);
      };
      if (goal % z.value == 0) {
        attempt('/', goal / z.value, [&](const Term& made) { return product_of(made, z); });
      }
      if (!found_ && goal * z.value <= kLargestProduct) {
        attempt('*', goal * z.value, [&](const Term& made) { return quotient_of(made, z); });
      }
      if (!found_ && z.value > goal && z.value % goal == 0) {
        attempt('\\', z.value / goal, [&](const Term& made) { return quotient_of(z, made); });
      }
    }
  }

  // The goal as what two of three terms make over the third: " 7*3=21: 25+4=29 25-4=21".
  void over_one(const Terms& terms, int64_t goal) {
    for (size_t i = 0; i < terms.size() && !found_; ++i) {
      const Term& z = terms[i];
      if (z.value < 2 || goal * z.value > kLargestProduct) continue;
      text_ += fmt::format(" {}*{}={}: ", goal, z.value, goal * z.value);
      pair(without(terms, i, i), goal * z.value);
      if (found_) found_ = quotient_of(*found_, z);
    }
  }

  // The largest with number i, and the two others: "54-12=42 54+12=66*132\3: 25-7=18 25+7=32 no".
  // Behind what the first two make stands what the others must make to reach the target as a
  // product (/), that over it (*) or it over that (\).
  void pairs(size_t i) {
    const Terms others = without(numbers_, 0, i);
    Terms made;
    bool possible = false;
    text_ += '\n';
    for (const bool minus : {true, false}) {
      const Term first = sum_of({numbers_[0], numbers_[i]}, {false, minus});
      text_ += fmt::format("{}{}{}{}={}", minus ? "" : " ", numbers_[0].value, minus ? '-' : '+',
                           numbers_[i].value, first.value);
      made.push_back(first);
      if (first.value < 2) continue;
      const std::string wanted = fmt::format(
          "{}{}{}", target_ % first.value == 0 ? fmt::format("/{}", target_ / first.value) : "",
          target_ * first.value <= kLargestProduct ? fmt::format("*{}", target_ * first.value) : "",
          first.value > target_ && first.value % target_ == 0
              ? fmt::format("\\{}", first.value / target_)
              : "");
      possible = possible || !wanted.empty();
      text_ += wanted;
    }
    if (!possible) return;
    text_ += ':';
    for (const bool minus : {true, false}) {
      const Term second = sum_of(others, {false, minus});
      text_ += fmt::format(" {}{}{}={}", others[0].value, minus ? '-' : '+', others[1].value,
                           second.value);
      for (const Term& first : made) {
        if (first.value < 2 || found_) continue;
        if (first.value * second.value == target_) {
          found_ = product_of(first, second);
        } else if (second.value == target_ * first.value && second.value <= kLargestProduct) {
          found_ = quotient_of(second, first);
        } else if (second.value * target_ == first.value && second.value > 0) {
          found_ = quotient_of(first, second);
        }
      }
      if (found_) return;
    }
    text_ += " no";
  }

  // w beside a product of the others: "54-12=42: 25 7 3/14: 25+7=32 25-7=18 no". Nothing is left
  // to make where w is the target: "54-54=0: 7-7=0".
  void beside(const Term& w, const Terms& rest, bool plus) {
    const int64_t more = std::max(target_, w.value);
    const int64_t less = std::min(target_, w.value);
    const int64_t goal = plus ? more + less : more - less;
    text_ += fmt::format("\n{}{}{}={}:", more, plus ? '+' : '-', less, goal);
    if (goal == 0) {
      nothing(w, rest);
      return;
    }
    as_product(rest, goal);
    if (!found_) return;
    const Term product = *found_;
    if (plus) {
      found_ = sum_of({product, w}, {false, true});
    } else if (target_ > w.value) {
      found_ = sum_of({product, w}, {false, false});
    } else {
      found_ = sum_of({w, product}, {false, true});
    }
  }

  // w and nothing: the difference of two that are the same, times the third.
  void nothing(const Term& w, const Terms& rest) {
    for (size_t i = 0; i + 1 < rest.size(); ++i) {
      if (rest[i].value != rest[i + 1].value) continue;
      text_ += fmt::format(" {0}-{0}=0", rest[i].value);
      const Term zero = sum_of({rest[i], rest[i + 1]}, {false, true});
      const Term product = product_of(without(rest, i, i + 1)[0], zero);
      found_ = sum_of({w, product}, {false, false});
      return;
    }
    text_ += " no";
  }

  Terms numbers_;
  int64_t target_;
  std::vector<Entry> table_;
  std::string text_;
  std::optional<Term> found_;
};

bool reaches(std::vector<int64_t>& numbers, int64_t target) {
  const size_t n = numbers.size();
  if (n == 1) return numbers[0] == target;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) {
      const int64_t a = std::max(numbers[i], numbers[j]);
      const int64_t b = std::min(numbers[i], numbers[j]);
      const int64_t results[] = {a + b, a - b, a * b, b != 0 && a % b == 0 ? a / b : -1};
      for (const int64_t result : results) {
        if (result < 0) continue;
        std::vector<int64_t> rest;
        for (size_t k = 0; k < n; ++k) {
          if (k != i && k != j) rest.push_back(numbers[k]);
        }
        rest.push_back(result);
        if (reaches(rest, target)) return true;
      }
    }
  }
  return false;
}

}  // namespace

CountdownWork work_out_countdown(const std::vector<int64_t>& numbers, int64_t target) {
  return Search(numbers, target).run();
}

bool countdown_solvable(const std::vector<int64_t>& numbers, int64_t target) {
  std::vector<int64_t> left = numbers;
  return reaches(left, target);
}

Problem make_countdown(Random& random, int n_numbers) {
  static const std::vector<std::string_view> wordings = {
      "Using the numbers [{}], create an equation that equals {}. You can use + - * / and each "
      "number exactly once.",
      "Use {} to make {}. Use every number exactly once with + - * /.",
      "Make {1} from the numbers {0}, each used exactly once.",
      "Countdown: numbers {}, target {}.",
      "Reach {1} with {0}; each number must be used once, with + - * / and brackets.",
      "How can you get {1} from {0} using each number exactly once?",
      "Find an expression with {} that equals {}, using each number once.",
      "Numbers: {}. Target: {}. Use each number exactly once.",
      "Combine {} with + - * / to get {}, every number exactly once.",
      "Can you reach {1} using {0}, each once?",
      "Make {1} from {0}.",
      "Get {1} with {0}, each number once.",
  };
  Problem problem;
  problem.kind = n_numbers == 3 ? "countdown3" : "countdown4";
  problem.rule = "countdown";
  do {
    problem.numbers.clear();
    for (int i = 0; i < n_numbers; ++i) problem.numbers.push_back(random.between(1, 99));
    problem.target = random.between(10, 99);
  } while (!countdown_solvable(problem.numbers, problem.target));
  std::string list;
  std::vector<int64_t> sorted = problem.numbers;
  for (const int64_t number : problem.numbers) {
    list += (list.empty() ? "" : ", ") + std::to_string(number);
  }
  std::ranges::sort(sorted);
  for (const int64_t number : sorted) problem.content += std::to_string(number) + ",";
  problem.content += "->" + std::to_string(problem.target);
  problem.question = casual(random, fmt::format(fmt::runtime(random.pick(wordings)), list,
                                                std::to_string(problem.target)));
  const CountdownWork work = work_out_countdown(problem.numbers, problem.target);
  problem.thought = work.thought;
  problem.answer = work.expression.empty() ? std::string(kNoExpression) : work.expression;
  return problem;
}

}  // namespace reckon::eval
