// The stories. In braces: N and M names, o things, p a place or container, v a verb in the third
// person, u a verb's plain form, a to d numbers; w and w2 verbs in the past; q and r other things,
// x and y what they are like; S and S2 who or what does it, R and R2 the same again; t and T when
// or where, t2 to begin with; day a stretch of time; now, left, made, total, things what a question
// ends in; after the story, what answers it. The second list is never trained on: its verbs and
// things stand nowhere in the first one nor in its words.
#pragma once

#include <span>
#include <string_view>

namespace reckon::eval {

struct WordTemplate {
  std::string_view story;
  std::string_view formula;  // "(a+b)*c"
};

std::span<const WordTemplate> training_templates();
std::span<const WordTemplate> held_out_templates();

}  // namespace reckon::eval
