// Keeps as much text as the longest mark needs and looks only at what the new token completed.
#include "reasoning/turn_marks.h"

#include <algorithm>

#include "reasoning/stop_strings.h"

namespace reckon {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

const ProbeStyle* find_probe_style(std::string_view name) {
  static const ProbeStyle r1{.breaks = {"\n\n"},
                             .words = {"Wait", "Alternatively", "Hmm", "But wait", "Let me check"},
                             .lead = "**Final Answer**\n\\boxed{"};
  static const ProbeStyle lines{
      .breaks = {"\n"}, .words = {"Wait", "wait"}, .lead = "", .at_start = true};
  static const ProbeStyle plain{
      .breaks = {"\n"}, .words = {"Wait", "Alternatively", "Hmm"}, .lead = "The answer is "};
  return name == "r1" ? &r1 : name == "lines" ? &lines : name == "plain" ? &plain : nullptr;
}

const ProbeStyle& default_probe_style(std::string_view template_name, std::string_view model_name) {
  if (model_name.starts_with("reckon-")) return *find_probe_style("lines");
  return *find_probe_style(template_name.starts_with("deepseek-r1") ? "r1" : "plain");
}

TurnMarks::TurnMarks(const ProbeStyle& style, int64_t min_gap)
    : breaks_(style.breaks), words_(style.words), min_gap_(min_gap) {
  for (const auto* marks : {&breaks_, &words_}) {
    for (const std::string& mark : *marks) longest_ = std::max(longest_, mark.size());
  }
}

std::optional<int64_t> TurnMarks::push(std::string_view bytes) {
  const size_t old_size = tail_.size();
  tail_ += bytes;
  ends_.push_back(tail_.size());
  ++n_tokens_;
  // The earliest place that this token makes known, of those that keep their distance.
  std::optional<int64_t> place;
  const auto consider = [&](int64_t n_before) {
    if (n_before < std::max<int64_t>(1, last_place_ + min_gap_)) return;
    place = std::min(place.value_or(n_before), n_before);
  };
  for (const std::string& word : words_) {
    const size_t from = old_size < word.size() ? 0 : old_size - word.size() + 1;
    for (size_t at = tail_.find(word, from); at != std::string::npos;
         at = tail_.find(word, at + 1)) {
      if (at == 0 || !is_letter(tail_[at - 1])) consider(tokens_before(at));
    }
  }
  for (const std::string& mark : breaks_) {
    const size_t from = old_size < mark.size() ? 0 : old_size - mark.size() + 1;
    if (tail_.find(mark, from) != std::string::npos) consider(n_tokens_);
  }
  // Whole tokens leave at the front, as soon as no mark can begin in them.
  size_t n_gone = 0;
  while (n_gone < ends_.size() && ends_[n_gone] + longest_ + 1 <= tail_.size()) ++n_gone;
  if (n_gone > 0) {
    const size_t cut = ends_[n_gone - 1];
    tail_.erase(0, cut);
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<ptrdiff_t>(n_gone));
    for (size_t& end : ends_) end -= cut;
  }
  if (place) last_place_ = *place;
  return place;
}

int64_t TurnMarks::n_decided() const {
  size_t n_held = 0;
  for (const std::string& word : words_) {
    n_held = std::max(n_held, partial_match_length(tail_, word));
  }
  return n_held == 0 ? n_tokens_ : tokens_before(tail_.size() - n_held);
}

// Tokens that end at or before this byte of tail_.
int64_t TurnMarks::tokens_before(size_t byte) const {
  const auto after = std::upper_bound(ends_.begin(), ends_.end(), byte);
  return n_tokens_ - (ends_.end() - after);
}

}  // namespace reckon
