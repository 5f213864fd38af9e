// The checks, hung onto CLI11's options by the names of their values.
#include "cli/number_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/option_text.h"

namespace reckon::cli {
namespace {

template <class Number>
bool is_number(const std::string& text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

template <class Number>
std::string complaint(const std::string& text, std::string_view expected) {
  return is_number<Number>(text) ? "" : fmt::format("expected {}, found \"{}\"", expected, text);
}

}  // namespace

void check_numbers(CLI::App& command) {
  constexpr std::array<std::string_view, 3> kWhole = {"N", "K", "MIB"};
  constexpr std::array<std::string_view, 5> kReal = {"P", "T", "X", "S", "SHARE"};
  for (CLI::Option* option : command.get_options()) {
    const std::string type = value_name(*option);
    if (option->check_lname("seed")) {
      option->check([](const std::string& text) {
        return complaint<uint64_t>(text, "a whole number from 0 to 2^64 - 1");
      });
    } else if (std::ranges::find(kWhole, type) != kWhole.end()) {
      option->check([](const std::string& text) {
        return complaint<int64_t>(text, "a whole number below 2^63");
      });
    } else if (std::ranges::find(kReal, type) != kReal.end()) {
      option->check([](const std::string& text) { return complaint<double>(text, "a number"); });
    }
  }
  for (CLI::App* below : command.get_subcommands({})) check_numbers(*below);
}

}  // namespace reckon::cli
