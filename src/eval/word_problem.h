// Short stories with a question at the end, and questions on units, comparisons.
#pragma once

#include "eval/problem.h"
#include "eval/random.h"

namespace reckon::eval {

// held_out: from templates, names and things that training never sees; training's own templates are
// filled with many more words, made-up ones among them, so that what counts is the story's shape.
Problem make_word_problem(Random& random, bool held_out);

Problem make_comparison(Random& random);  // larger, smaller, of two or three; yes or no
Problem make_unit(Random& random);        // from one unit to another, whole results

// How many templates there are that training never sees.
int count_held_out_templates();

}  // namespace reckon::eval
