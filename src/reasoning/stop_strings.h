// Ends an answer at the first of some strings, wherever the tokens' borders fall: text that could
// still become a stop string is held back until that is decided.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

class StopStrings {
 public:
  // stops: none of them empty.
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Appends to out the text that is now certainly before any stop string. After a stop string has
  // been met everything is dropped, the stop string itself too. When several are met at once, the
  // one that ends first counts, so that the cut doesn't depend on how the text arrives.
  void push(std::string_view text, std::string& out);
  // The text still held back, when no more will come.
  std::string finish();

  bool stopped() const { return met_.has_value(); }
  // Which of the stops that was: its index.
  std::optional<size_t> met() const { return met_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper prefix of a stop string
  std::optional<size_t> met_;
};

// The length of the longest end of text that begins `pattern` without completing it.
size_t partial_match_length(std::string_view text, std::string_view pattern);

}  // namespace reckon
