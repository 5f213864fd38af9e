// The places in a thought where it turns, and how an answer is asked for there: where early stop
// sets its side branches. Goes by the tokens' text, so a mark may be spread over several tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

// How a kind of models turns and answers.
struct ProbeStyle {
  std::vector<std::string> breaks;  // a branch may begin behind one ("\n\n")
  std::vector<std::string> words;   // or before one of these, where no letter precedes it ("Wait")
  // What the branch says before the model answers; if it ends in an open brace, the answer ends
  // where that is closed, else with the model's turn or at a line's end.
  std::string lead;
  // A branch before the first word too: for models that can also answer straight away. They are
  // just as sure of every result on the way, which they then copy: elsewhere confidence says
  // nothing.
  bool at_start = false;
};

// "r1": R1 and its distills, which think in paragraphs and put results into \boxed{}. "lines":
// models that think in short lines and answer with nothing but the result. "plain": others. nullptr
// for a name that is none.
const ProbeStyle* find_probe_style(std::string_view name);
// What is used when none is named, by the chat template's name and the model's (general.name): the
// models that `reckon recipe` makes have R1's template and think in short lines.
const ProbeStyle& default_probe_style(std::string_view template_name, std::string_view model_name);

class TurnMarks {
 public:
  // marks: none of them empty. min_gap: tokens between two places, and before the first.
  TurnMarks(const ProbeStyle& style, int64_t min_gap);

  // Takes the next token of the thought, as bytes. Returns how many of the tokens so far come
  // before a place to branch, when one has been found.
  std::optional<int64_t> push(std::string_view bytes);

  // Tokens that certainly come before any further place: all of them, but for those in which a word
  // may have begun.
  int64_t n_decided() const;

 private:
  int64_t tokens_before(size_t byte) const;

  std::vector<std::string> breaks_;
  std::vector<std::string> words_;
  int64_t min_gap_;
  size_t longest_ = 1;
  std::string tail_;          // the text's end: all that may belong to a mark, and a byte more
  std::vector<size_t> ends_;  // where the tokens of tail_ end in it
  int64_t n_tokens_ = 0;
  int64_t last_place_ = 0;
};

}  // namespace reckon
