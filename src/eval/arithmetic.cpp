// Draws the numbers and a wording, works the calculation out on a scratchpad. Expressions are
// trees, calculated from the inside, the left first; fractions are reduced by their prime factors.
#include "eval/arithmetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/scratchpad.h"
#include "eval/wording.h"

namespace reckon::eval {
namespace {

using Wordings = std::vector<std::string_view>;

// Wordings for a and b besides the symbols.
const Wordings& words_of(char operation) {
  static const Wordings plus = {"What is {} plus {}?",     "Add {} and {}.",
                                "Add {} to {}.",           "What is the sum of {} and {}?",
                                "How much is {} plus {}?", "Find the sum of {} and {}."};
  static const Wordings minus = {"What is {} minus {}?",     "What is the difference of {} and {}?",
                                 "How much is {} minus {}?", "Take {} and subtract {}.",
                                 "Find {} minus {}.",        "What is {} less {}?"};
  static const Wordings times = {"What is {} times {}?",     "Multiply {} by {}.",
                                 "Multiply {} and {}.",      "What is the product of {} and {}?",
                                 "How much is {} times {}?", "What is {} multiplied by {}?"};
  static const Wordings over = {
      "What is {} divided by {}?",          "Divide {} by {}.",
      "How much is {} divided by {}?",      "How many times does {1} go into {0}?",
      "What is the quotient of {} and {}?", "What is {} over {}?"};
  return operation == '+' ? plus : operation == '-' ? minus : operation == '*' ? times : over;
}

std::string fill_two(std::string_view pattern, const std::string& a, const std::string& b) {
  if (pattern.find("{1}") == std::string_view::npos) return fill(pattern, {a, b});
  return fmt::format(fmt::runtime(pattern), a, b);
}

Problem calculation(Random& random, std::string_view kind, char operation, int64_t a, int64_t b) {
  Problem problem;
  problem.kind = kind;
  problem.rule = "number";
  const std::string symbols = fmt::format("{}{}{}", a, operation, bracketed(b));
  problem.question = random.chance(35)
                         ? casual(random, fill_two(random.pick(words_of(operation)),
                                                   std::to_string(a), std::to_string(b)))
                         : ask_for_value(random, symbols);
  // The same numbers the other way round are the same problem.
  const bool swaps = (operation == '+' || operation == '*') && a > b;
  problem.content = fmt::format("{}{}{}", swaps ? b : a, operation, swaps ? a : b);
  Scratchpad work;
  problem.answer = std::to_string(work.apply(operation, a, b));
  problem.thought = work.take();
  return problem;
}

// A whole expression: a tree whose leaves are numbers.
struct Node {
  char operation = 0;  // 0: a number
  int64_t value = 0;
  int left = -1;
  int right = -1;
};

int rank(char operation) { return operation == '+' || operation == '-' ? 1 : 2; }

class Expression {
 public:
  // n numbers; empty where a value on the way is broken, below -999 or above 9999.
  static std::optional<Expression> draw(Random& random, int n) {
    Expression expression;
    expression.root_ = expression.build(random, n);
    if (!expression.value_of(expression.root_)) return std::nullopt;
    return expression;
  }

  std::string text() const { return text_of(root_, 0, false); }

  // Calculates the leftmost of the innermost operations until a number is left.
  int64_t work_out(std::string& thought) {
    Scratchpad work;
    while (nodes_[root_].operation != 0) {
      work.line(text());
      Node& node = nodes_[static_cast<size_t>(ready(root_))];
      node.value = work.apply(node.operation, nodes_[node.left].value, nodes_[node.right].value);
      node.operation = 0;
    }
    thought = work.take();
    return nodes_[root_].value;
  }

 private:
  int build(Random& random, int n) {
    Node node;
    if (n == 1) {
      node.value = random.chance(70) ? random.between(1, 20) : random.between(1, 99);
    } else {
      const int n_left = static_cast<int>(random.between(1, n - 1));
      const int64_t kind = random.between(0, 9);
      node.operation = kind < 4 ? '+' : kind < 7 ? '-' : kind < 9 ? '*' : '/';
      node.left = build(random, n_left);
      node.right = build(random, n - n_left);
    }
    nodes_.push_back(node);
    return static_cast<int>(nodes_.size()) - 1;
  }

  std::optional<int64_t> value_of(int at) const {
    const Node& node = nodes_[static_cast<size_t>(at)];
    if (node.operation == 0) return node.value;
    const auto a = value_of(node.left);
    const auto b = value_of(node.right);
    if (!a || !b) return std::nullopt;
    int64_t value = 0;
    switch (node.operation) {
      case '+': value = *a + *b; break;
      case '-': value = *a - *b; break;
      case '*': value = *a * *b; break;
      default:
        if (*b == 0 || std::abs(*b) > 99 || *a % *b != 0) return std::nullopt;
        value = *a / *b;
    }
    if (value < -999 || value > 9999) return std::nullopt;
    return value;
  }

  std::string text_of(int at, int outer_rank, bool is_right) const {
    const Node& node = nodes_[static_cast<size_t>(at)];
    if (node.operation == 0)
      return outer_rank == 0 ? std::to_string(node.value) : bracketed(node.value);
    const int own = rank(node.operation);
    const std::string inner =
        text_of(node.left, own, false) + node.operation + text_of(node.right, own, true);
    const bool brackets = own < outer_rank || (own == outer_rank && is_right);
    return brackets ? "(" + inner + ")" : inner;
  }

  int ready(int at) const {
    const Node& node = nodes_[static_cast<size_t>(at)];
    if (nodes_[node.left].operation != 0) return ready(node.left);
    if (nodes_[node.right].operation != 0) return ready(node.right);
    return at;
  }

  std::vector<Node> nodes_;
  int root_ = 0;
};

std::string fraction_text(int64_t numerator, int64_t denominator) {
  return denominator == 1 ? std::to_string(numerator)
                          : fmt::format("{}/{}", numerator, denominator);
}

// Its prime factors in their order: "2*2*3"; "1" has none.
std::string factors_of(int64_t number) {
  std::string text;
  for (int64_t prime = 2; number > 1; ++prime) {
    for (; number % prime == 0; number /= prime) {
      text += fmt::format("{}{}", text.empty() ? "" : "*", prime);
    }
  }
  return text.empty() ? "1" : text;
}

// Strikes out the prime factors that both have, one after the other ("42=2*3*7 98=2*7*7", "2: 3*7
// 7*7", "7: 3 7"), and returns the fraction in lowest terms.
std::string reduce(Scratchpad& work, int64_t numerator, int64_t denominator) {
  if (numerator == 0) return "0";
  if (numerator > 1 && denominator > 1) {
    work.line(fmt::format("{}={} {}={}", numerator, factors_of(numerator), denominator,
                          factors_of(denominator)));
  }
  for (int64_t prime = 2; prime <= std::min(numerator, denominator); ++prime) {
    while (numerator % prime == 0 && denominator % prime == 0) {
      numerator /= prime;
      denominator /= prime;
      work.line(fmt::format("{}: {} {}", prime, factors_of(numerator), factors_of(denominator)));
    }
  }
  return fraction_text(numerator, denominator);
}

Problem fraction_of_number(Random& random) {
  const int64_t b = random.between(2, 20);
  const int64_t a = random.between(1, b - 1);
  const int64_t n = b * random.number(2);
  static const Wordings wordings = {"What is {}/{} of {}?", "Find {}/{} of {}.",
                                    "How much is {}/{} of {}?", "Calculate {}/{} of {}.",
                                    "What's {}/{} of {}?"};
  Problem problem;
  problem.kind = "fraction";
  problem.rule = "number";
  problem.question = casual(
      random,
      fill(random.pick(wordings), {std::to_string(a), std::to_string(b), std::to_string(n)}));
  problem.content = fmt::format("{}/{} of {}", a, b, n);
  Scratchpad work;
  work.line(fmt::format("{}/{}*{}", n, b, a));
  problem.answer = std::to_string(work.multiply(work.divide(n, b), a));
  problem.thought = work.take();
  return problem;
}

Problem fraction_calculation(Random& random) {
  const int64_t b = random.between(2, 12);
  const int64_t d = random.between(2, 12);
  int64_t a = random.between(1, b - 1);
  int64_t c = random.between(1, d - 1);
  const char operation = random.pick(std::string_view("+-*"));
  if (operation == '-' && a * d < c * b) return fraction_calculation(random);
  const std::string symbols = fmt::format("{}/{} {} {}/{}", a, b, operation, c, d);
  Problem problem;
  problem.kind = "fraction";
  problem.rule = "number";
  static const Wordings wordings = {"What is {}?",
                                    "Compute {}.",
                                    "{} =",
                                    "Calculate {}.",
                                    "How much is {}?",
                                    "What is {} in lowest terms?",
                                    "Work out {} as a fraction."};
  problem.question = casual(random, fill(random.pick(wordings), {symbols}));
  problem.content = symbols;
  Scratchpad work;
  if (operation == '*') {
    a *= c;
    work.line(fmt::format("{}*{}={} {}*{}={}", a / c, c, a, b, d, b * d));
    problem.answer = reduce(work, a, b * d);
  } else if (b == d) {
    const int64_t top = operation == '+' ? a + c : a - c;
    work.line(fmt::format("{}{}{}={} {}/{}", a, operation, c, top, top, b));
    problem.answer = reduce(work, top, b);
  } else {
    const int64_t top = operation == '+' ? a * d + c * b : a * d - c * b;
    work.line(fmt::format("{}*{}={} {}*{}={} {}*{}={}", a, d, a * d, c, b, c * b, b, d, b * d));
    work.line(fmt::format("{}{}{}={} {}/{}", a * d, operation, c * b, top, top, b * d));
    problem.answer = reduce(work, top, b * d);
  }
  work.line(problem.answer);
  problem.thought = work.take();
  return problem;
}

Problem lowest_terms(Random& random) {
  const int64_t factor = random.between(2, 15);
  const int64_t b = random.between(2, 15);
  const int64_t a = random.between(1, b - 1);
  const std::string symbols = fmt::format("{}/{}", a * factor, b * factor);
  static const Wordings wordings = {"Simplify {}.", "Reduce {} to lowest terms.",
                                    "Write {} in lowest terms.", "What is {} in simplest form?"};
  Problem problem;
  problem.kind = "fraction";
  problem.rule = "number";
  problem.question = casual(random, fill(random.pick(wordings), {symbols}));
  problem.content = "simplify " + symbols;
  Scratchpad work;
  problem.answer = reduce(work, a * factor, b * factor);
  work.line(problem.answer);
  problem.thought = work.take();
  return problem;
}

}  // namespace

Problem make_sum(Random& random) {
  return calculation(random, "sum", '+', random.number(6), random.number(6));
}

Problem make_difference(Random& random) {
  int64_t a = random.number(6);
  int64_t b = random.number(6);
  if (a < b && random.chance(70)) std::swap(a, b);
  return calculation(random, "difference", '-', a, b);
}

Problem make_product(Random& random) {
  return calculation(random, "product", '*', random.number(3), random.number(3));
}

Problem make_division(Random& random) {
  const int64_t divisor = random.chance(35) ? random.between(2, 9) : random.between(10, 99);
  return calculation(random, "division", '/', divisor * random.number(3), divisor);
}

Problem make_negative(Random& random) {
  const char operation = random.pick(std::string_view("++--*/"));
  const int64_t sign_a = random.chance(60) ? -1 : 1;
  const int64_t sign_b = sign_a > 0 || random.chance(50) ? -1 : 1;
  if (operation == '*') {
    return calculation(random, "negative", '*', sign_a * random.number(2),
                       sign_b * random.number(2));
  }
  if (operation == '/') {
    const int64_t divisor = random.between(2, 20);
    return calculation(random, "negative", '/', sign_a * divisor * random.number(2),
                       sign_b * divisor);
  }
  return calculation(random, "negative", operation, sign_a * random.number(3),
                     sign_b * random.number(3));
}

Problem make_expression(Random& random) {
  for (;;) {
    auto expression = Expression::draw(random, random.chance(50) ? 3 : 4);
    if (!expression) continue;
    Problem problem;
    problem.kind = "expression";
    problem.rule = "number";
    problem.content = expression->text();
    problem.question = ask_for_value(random, problem.content);
    problem.answer = std::to_string(expression->work_out(problem.thought));
    return problem;
  }
}

Problem make_percent(Random& random) {
  static const Wordings of = {"What is {}% of {}?",        "Calculate {}% of {}.",
                              "How much is {}% of {}?",    "Find {}% of {}.",
                              "What is {} percent of {}?", "{}% of {}",
                              "Compute {} percent of {}."};
  const int64_t percent = random.chance(60) ? 5 * random.between(1, 20) : random.between(1, 99);
  const int64_t step = 100 / std::gcd(percent, int64_t{100});
  const int64_t number = step * random.between(1, (random.chance(70) ? 2000 : 9900) / step);
  Problem problem;
  problem.kind = "percent";
  problem.rule = "number";
  problem.question =
      casual(random, fill(random.pick(of), {std::to_string(percent), std::to_string(number)}));
  problem.content = fmt::format("{}% of {}", percent, number);
  Scratchpad work;
  work.line(fmt::format("{}*{}/100", number, percent));
  const int64_t product = work.multiply(number, percent);
  problem.answer = std::to_string(work.divide(product, 100));
  problem.thought = work.take();
  return problem;
}

Problem make_fraction(Random& random) {
  const int64_t kind = random.between(0, 9);
  if (kind < 4) return fraction_of_number(random);
  return kind < 8 ? fraction_calculation(random) : lowest_terms(random);
}

}  // namespace reckon::eval
