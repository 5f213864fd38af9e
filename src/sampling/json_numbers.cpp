// Numbers within bounds as digits: bounds of equal length are split at their first difference.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "sampling/json_schema_parts.h"

namespace reckon {
namespace {

// Longer numbers would be cut or rounded by most readers.
constexpr int kMaxDecimals = 15;

std::string any_digits(size_t n) {
  return n == 0 ? "\"\"" : n == 1 ? "[0-9]" : fmt::format("[0-9]{{{}}}", n);
}

std::string joined(const std::vector<std::string>& choices) {
  return fmt::format("{}", fmt::join(choices, " | "));
}

// Digit strings from low to high, both of the same length.
std::string digits_between(std::string_view low, std::string_view high) {
  if (low.empty()) return "\"\"";
  const size_t rest = low.size() - 1;
  if (low.find_first_not_of('0') == std::string_view::npos &&
      high.find_first_not_of('9') == std::string_view::npos) {
    return any_digits(low.size());
  }
  if (low.front() == high.front()) {
    const std::string first = fmt::format("\"{}\"", low.front());
    return rest == 0 ? first
                     : fmt::format("{} ({})", first, digits_between(low.substr(1), high.substr(1)));
  }
  std::vector<std::string> choices;
  char first = low.front();
  char last = high.front();
  // An end whose rest is not the whole span stands apart.
  if (low.substr(1).find_first_not_of('0') != std::string_view::npos) {
    choices.push_back(
        fmt::format("\"{}\" ({})", first++, digits_between(low.substr(1), std::string(rest, '9'))));
  }
  const bool high_apart = high.substr(1).find_first_not_of('9') != std::string_view::npos;
  if (high_apart) --last;
  if (first <= last) {
    choices.push_back(fmt::format("[{}-{}]", first, last) +
                      (rest == 0 ? "" : " " + any_digits(rest)));
  }
  if (high_apart) {
    choices.push_back(fmt::format("\"{}\" ({})", high.front(),
                                  digits_between(std::string(rest, '0'), high.substr(1))));
  }
  return joined(choices);
}

// Natural numbers from min to max, without leading zeros.
std::string naturals(uint64_t min, uint64_t max) {
  std::vector<std::string> choices;
  if (min == 0) {
    choices.emplace_back("\"0\"");
    if (max == 0) return choices[0];
    min = 1;
  }
  std::string low = std::to_string(min);
  const std::string high = std::to_string(max);
  for (; low.size() < high.size(); low = "1" + std::string(low.size(), '0')) {
    choices.push_back(digits_between(low, std::string(low.size(), '9')));
  }
  choices.push_back(digits_between(low, high));
  return joined(choices);
}

uint64_t magnitude(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

// Numbers from min to max, not negative; open ends leave out the bound itself.
std::string magnitudes(uint64_t min, uint64_t max, bool min_open, bool max_open) {
  std::vector<std::string> choices;
  if (min < max) {
    if (min_open) {
      choices.push_back(fmt::format("\"{}.\" [0-9]{{0,{}}} [1-9]", min, kMaxDecimals - 1));
      ++min;
    }
    if (min < max) {
      choices.push_back(
          fmt::format("({}) (\".\" [0-9]{{1,{}}})?", naturals(min, max - 1), kMaxDecimals));
    }
    min_open = false;
  }
  if (!max_open && !(min_open && min == max)) {
    choices.push_back(fmt::format("\"{}\" (\".\" \"0\"{{1,{}}})?", max, kMaxDecimals));
  }
  return joined(choices);
}

}  // namespace

std::string gbnf_integers(int64_t min, int64_t max) {
  std::vector<std::string> choices;
  if (min < 0) {
    choices.push_back(
        fmt::format("\"-\" ({})", naturals(max < 0 ? magnitude(max) : 1, magnitude(min))));
  }
  if (max >= 0) choices.push_back(naturals(magnitude(std::max<int64_t>(min, 0)), magnitude(max)));
  return joined(choices);
}

std::string gbnf_numbers(const NumberBounds& bounds) {
  std::vector<std::string> choices;
  if (bounds.min < 0) {
    const bool below_zero = bounds.max < 0 || (bounds.max == 0 && bounds.max_open);
    const std::string negative =
        magnitudes(bounds.max < 0 ? magnitude(bounds.max) : 0, magnitude(bounds.min),
                   below_zero && bounds.max_open, bounds.min_open);
    if (!negative.empty()) choices.push_back(fmt::format("\"-\" ({})", negative));
  }
  if (bounds.max >= 0) {
    const std::string positive =
        magnitudes(magnitude(std::max<int64_t>(bounds.min, 0)), magnitude(bounds.max),
                   bounds.min >= 0 && bounds.min_open, bounds.max_open);
    if (!positive.empty()) choices.push_back(positive);
  }
  return joined(choices);
}

}  // namespace reckon
