// Ways of trying, likeliest first, on the numbers sorted. All plus and minus: with S the sum of
// all, the signs that reach t take away numbers that sum to (S - t) / 2. Then one product or
// quotient of two numbers with plus and minus around it; the target, or what lies beside it, as a
// product or a quotient; two pairs; three factors.
#include "eval/countdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "eval/wording.h"

namespace reckon::eval {
namespace {

// Products above this are not tried: what is added or taken away is below it.
constexpr int64_t kLargestProduct = 200;
constexpr int64_t kLargestFactor = 12;
constexpr int64_t kLargestNumber = 99;

// A number, or an expression that stands for one.
struct Term {
  int64_t value = 0;
  std::string text;
  bool is_sum = false;  // needs brackets beside * and /, and after a minus
};

using Terms = std::vector<Term>;

std::string factor(const Term& term) { return term.is_sum ? "(" + term.text + ")" : term.text; }

Term sum_of(const Terms& terms, const std::vector<bool>& minus) {
  Term sum{.value = 0, .text = {}, .is_sum = true};
  for (const bool sign : {false, true}) {
    for (size_t i = 0; i < terms.size(); ++i) {
      if (minus[i] != sign) continue;
      if (sign) {
        sum.text += "-" + factor(terms[i]);
      } else {
        sum.text += (sum.text.empty() ? "" : "+") + terms[i].text;
      }
      sum.value += sign ? -terms[i].value : terms[i].value;
    }
  }
  return sum;
}

Term product_of(const Term& a, const Term& b) {
  return {.value = a.value * b.value, .text = factor(a) + "*" + factor(b), .is_sum = false};
}

// b's own brackets: a quotient after / would be read from the left.
Term quotient_of(const Term& a, const Term& b) {
  const bool plain = b.text.find_first_of("*/+-") == std::string::npos;
  return {.value = a.value / b.value,
          .text = factor(a) + "/" + (plain ? b.text : "(" + b.text + ")"),
          .is_sum = false};
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
  Search(const std::vector<int64_t>& numbers, int64_t target, int max_tries)
      : target_(target), max_tries_(max_tries) {
    for (const int64_t number : numbers) {
      numbers_.push_back({.value = number, .text = std::to_string(number), .is_sum = false});
    }
    std::ranges::stable_sort(numbers_, std::ranges::greater(), &Term::value);
  }

  std::optional<CountdownWork> run() {
    for (const Term& number : numbers_) text_ += number.text + " ";
    text_.back() = '\n';
    text_ += plus_minus(numbers_, target_);
    if (!found_) text_ += "\nwait";
    if (!found_) one_product();
    if (!found_) as_product(numbers_, target_, std::to_string(target_));
    if (!found_ && numbers_.size() == 4) beside_a_product();
    if (!found_ && numbers_.size() == 4) two_pairs();
    if (!found_ && numbers_.size() == 4) two_products();
    if (!found_ && numbers_.size() == 4) three_factors();
    if (!found_ || n_tries_ > max_tries_) return std::nullopt;
    return CountdownWork{.thought = text_, .expression = found_->text};
  }

 private:
  // A line; what was found by it ends the search.
  void attempt(const std::string& line) {
    if (!found_) ++n_tries_;
    text_ += "\n" + line;
  }

  // "25+7=32+3=35 35-15=20 10 no 25 yes": signs that make the terms the goal, then found_ is set.
  std::string plus_minus(const Terms& terms, int64_t goal) {
    if (terms.size() == 2) return pair(terms, goal);
    std::string line = std::to_string(terms[0].value);
    int64_t sum = terms[0].value;
    for (size_t i = 1; i < terms.size(); ++i) {
      sum += terms[i].value;
      line += fmt::format("+{}={}", terms[i].value, sum);
    }
    if (sum == goal) return finish(line, terms, std::vector<bool>(terms.size(), false));
    if (sum < goal) return line + " low";
    line += fmt::format(" {}-{}={}", sum, goal, sum - goal);
    if ((sum - goal) % 2 != 0) return line + " odd";
    return half(line, terms, (sum - goal) / 2, goal);
  }

  std::string half(std::string line, const Terms& terms, int64_t half, int64_t goal) {
    std::vector<bool> minus(terms.size(), false);
    line += fmt::format(" {}", half);
    for (size_t i = 0; i < terms.size(); ++i) {
      if (terms[i].value != half) continue;
      minus[i] = true;
      return finish(line, terms, minus);
    }
    line += " no";
    if (goal + half <= kLargestProduct) {
      line += fmt::format(" {}", goal + half);
      for (size_t i = 0; i < terms.size(); ++i) {
        if (terms[i].value != goal + half) continue;
        minus.assign(terms.size(), true);
        minus[i] = false;
        return finish(line, terms, minus);
      }
      line += " no";
    }
    if (terms.size() < 4) return line;
    for (size_t i = 0; i + 1 < terms.size(); ++i) {
      if (terms[i].value >= half) continue;
      line += fmt::format(" {}+{}", terms[i].value, half - terms[i].value);
      for (size_t j = i + 1; j < terms.size(); ++j) {
        if (terms[i].value + terms[j].value != half) continue;
        minus[i] = minus[j] = true;
        return finish(line, terms, minus);
      }
      line += " no";
    }
    return line;
  }

  // "25+7=32 25-7=18 yes".
  std::string pair(const Terms& terms, int64_t goal) {
    const bool swaps = terms[0].value < terms[1].value;
    const Terms ordered = {terms[swaps ? 1 : 0], terms[swaps ? 0 : 1]};
    const int64_t a = ordered[0].value;
    const int64_t b = ordered[1].value;
    std::string line = fmt::format("{}+{}={}", a, b, a + b);
    if (a + b == goal) return finish(line, ordered, {false, false});
    line += fmt::format(" {}-{}={}", a, b, a - b);
    if (a - b == goal) return finish(line, ordered, {false, true});
    return line + " no";
  }

  std::string finish(const std::string& line, const Terms& terms, const std::vector<bool>& minus) {
    found_ = sum_of(terms, minus);
    return line + " yes";
  }

  // Whether two numbers are worth multiplying, and dividing.
  static bool multiplies(const Term& a, const Term& b) {
    return std::min(a.value, b.value) <= kLargestFactor && a.value * b.value <= kLargestProduct;
  }
  static bool divides(const Term& a, const Term& b) {
    return b.value > 1 && a.value % b.value == 0;
  }

  // Calls each(value, "25*3=75", rest) for products and quotients of two of the terms until found.
  template <class Each>
  void for_products(const Terms& terms, const Each& each) {
    for (size_t i = 0; i < terms.size(); ++i) {
      for (size_t j = i + 1; j < terms.size(); ++j) {
        const bool swaps = terms[i].value < terms[j].value;
        const Term& a = terms[swaps ? j : i];
        const Term& b = terms[swaps ? i : j];
        if (!found_ && divides(a, b)) {
          each(quotient_of(a, b), fmt::format("{}/{}={}", a.value, b.value, a.value / b.value),
               without(terms, i, j));
        }
        if (!found_ && multiplies(a, b)) {
          each(product_of(a, b), fmt::format("{}*{}={}", a.value, b.value, a.value * b.value),
               without(terms, i, j));
        }
      }
    }
  }

  void one_product() {
    for_products(numbers_, [&](const Term& term, const std::string& line, Terms rest) {
      if (rest.size() == 1) return last_number(term, line, rest[0]);
      rest.insert(rest.begin(), term);
      attempt(line + ": " + plus_minus(rest, target_));
    });
  }

  // What the last number would have to be: "25/5=5: 49 59 no".
  void last_number(const Term& term, std::string line, const Term& last) {
    const int64_t v = term.value;
    line += ":";
    const auto would_be = [&](int64_t number, const auto& make) {
      if (found_ || number < 1 || number > kLargestNumber) return;
      line += fmt::format(" {}", number);
      if (last.value == number) found_ = make();
    };
    would_be(std::abs(target_ - v), [&] {
      return v < target_ ? sum_of({term, last}, {false, false})
                         : sum_of({term, last}, {false, true});
    });
    would_be(target_ + v, [&] { return sum_of({last, term}, {false, true}); });
    if (v > 1 && target_ % v == 0) {
      would_be(target_ / v, [&] { return product_of(term, last); });
    }
    if (v > target_ && v % target_ == 0) {
      would_be(v / target_, [&] { return quotient_of(term, last); });
    }
    if (v > 1) would_be(target_ * v, [&] { return quotient_of(last, term); });
    attempt(line + (found_ ? " yes" : " no"));
  }

  // The goal as z times what the others make, that over z, or z over that: "54/3=18: 25+7=32
  // 25-7=18 yes". reached: how the goal came about, ending in it.
  void as_product(const Terms& terms, int64_t goal, const std::string& reached) {
    for (size_t i = 0; i < terms.size() && !found_; ++i) {
      const Term& z = terms[i];
      const Terms rest = without(terms, i, i);
      const auto attempt_with = [&](const std::string& shown, int64_t other, const auto& make) {
        const std::string line = fmt::format("{}={}: ", shown, other) + plus_minus(rest, other);
        if (found_) found_ = make(*found_);
        attempt_done(line);
      };
      if (z.value > 1 && goal % z.value == 0 && goal > z.value) {
        attempt_with(fmt::format("{}/{}", reached, z.value), goal / z.value,
                     [&](const Term& made) { return product_of(made, z); });
      }
      if (!found_ && z.value > 1 && goal * z.value <= kLargestProduct) {
        attempt_with(fmt::format("{}*{}", reached, z.value), goal * z.value,
                     [&](const Term& made) { return quotient_of(made, z); });
      }
      if (!found_ && z.value >= goal && z.value % goal == 0) {
        const bool plain = reached.find('=') == std::string::npos;
        attempt_with(fmt::format("{}{}/{}", plain ? "" : reached + " ", z.value, goal),
                     z.value / goal, [&](const Term& made) { return quotient_of(z, made); });
      }
    }
  }

  // As attempt(), where the line was made after found_ was set.
  void attempt_done(const std::string& line) {
    ++n_tries_;
    text_ += "\n" + line;
  }

  // w beside a product of the others: "54-12=42/3=14: 25+7=32 25-7=18 no".
  void beside_a_product() {
    for (size_t i = 0; i < numbers_.size(); ++i) {
      for (const bool plus : {true, false}) {
        if (!found_) beside(numbers_[i], plus, without(numbers_, i, i));
      }
    }
  }

  // plus: w is added to the product; else taken away, or the product from w.
  void beside(const Term& w, bool plus, const Terms& rest) {
    const int64_t goal = plus ? std::abs(target_ - w.value) : target_ + w.value;
    if (goal == 0) return;
    as_product(rest, goal,
               !plus               ? fmt::format("{}+{}={}", target_, w.value, goal)
               : target_ > w.value ? fmt::format("{}-{}={}", target_, w.value, goal)
                                   : fmt::format("{}-{}={}", w.value, target_, goal));
    if (!found_) return;
    const Term product = *found_;
    if (!plus) {
      found_ = sum_of({product, w}, {false, true});
    } else if (target_ > w.value) {
      found_ = sum_of({product, w}, {false, false});
    } else {
      found_ = sum_of({w, product}, {false, true});
    }
  }

  // (x ± y)(z ± w), and products of two added or taken away.
  void two_pairs() {
    for (size_t j = 1; j < 4; ++j) {
      Terms one = {numbers_[0], numbers_[j]};
      Terms two = without(numbers_, 0, j);
      for (Terms* terms : {&one, &two}) {
        if ((*terms)[0].value < (*terms)[1].value) std::swap((*terms)[0], (*terms)[1]);
      }
      for (const bool minus : {false, true}) {
        if (found_) return;
        const Term first = sum_of(one, {false, minus});
        if (first.value < 2 || target_ % first.value != 0) continue;
        const std::string line = fmt::format("{}={} {}/{}={}: ", first.text, first.value, target_,
                                             first.value, target_ / first.value) +
                                 pair(two, target_ / first.value);
        if (found_) found_ = product_of(first, *found_);
        attempt_done(line);
      }
    }
  }

  // Products or quotients of two numbers each, added or taken away: "25*3=75 8*2=16: 75+16=91 yes".
  void two_products() {
    for (size_t j = 1; j < 4; ++j) {
      for_products({numbers_[0], numbers_[j]},
                   [&](const Term& one, const std::string& line, const Terms&) {
                     for_products(without(numbers_, 0, j),
                                  [&](const Term& two, const std::string& next, const Terms&) {
                                    attempt(line + " " + next + ": " + pair({one, two}, target_));
                                  });
                   });
    }
  }

  // Three factors and the fourth number: "24/3=8 8*5=40: 14 yes".
  void three_factors() {
    const Terms numbers = numbers_;
    for_products(numbers, [&](const Term& first, const std::string& line, const Terms& rest) {
      if (first.value == 1) return;
      for (size_t i = 0; i < 2 && !found_; ++i) {
        const Term& next = rest[i];
        if (divides(first, next)) {
          last_number(
              quotient_of(first, next),
              fmt::format("{} {}/{}={}", line, first.value, next.value, first.value / next.value),
              rest[1 - i]);
        }
        if (!found_ && multiplies(first, next)) {
          last_number(
              product_of(first, next),
              fmt::format("{} {}*{}={}", line, first.value, next.value, first.value * next.value),
              rest[1 - i]);
        }
      }
    });
  }

  Terms numbers_;
  int64_t target_;
  int max_tries_;
  int n_tries_ = 0;
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

constexpr int kMostTries = 12;

}  // namespace

std::optional<CountdownWork> work_out_countdown(const std::vector<int64_t>& numbers, int64_t target,
                                                int max_tries) {
  return Search(numbers, target, max_tries).run();
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
  if (auto work = work_out_countdown(problem.numbers, problem.target, kMostTries)) {
    problem.thought = work->thought;
    problem.answer = work->expression;
  }
  return problem;
}

}  // namespace reckon::eval
