// Matching over token borders.
#include "reasoning/stop_strings.h"

#include <algorithm>
#include <utility>

namespace reckon {

size_t partial_match_length(std::string_view text, std::string_view pattern) {
  for (size_t n = std::min(text.size(), pattern.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == pattern.substr(0, n)) return n;
  }
  return 0;
}

void StopStrings::push(std::string_view text, std::string& out) {
  if (met_) return;
  held_ += text;
  size_t cut = std::string::npos;
  size_t cut_end = std::string::npos;
  for (size_t i = 0; i < stops_.size(); ++i) {
    const size_t begin = held_.find(stops_[i]);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stops_[i].size();
    if (end < cut_end || (end == cut_end && begin < cut)) {
      cut = begin;
      cut_end = end;
      met_ = i;
    }
  }
  if (cut != std::string::npos) {
    out.append(held_, 0, cut);
    held_.clear();
    return;
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, partial_match_length(held_, stop));
  out.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace reckon
