// The wordings that questions of a calculation share.
#pragma once

#include <string>
#include <string_view>

#include "eval/random.h"

namespace reckon::eval {

// "Q: {}" with each "{}" replaced by the next of the parts.
std::string fill(std::string_view pattern, std::initializer_list<std::string_view> parts);
// A question for the value of an expression in symbols: "347 * 26" in, "Compute 347 × 26." out.
std::string ask_for_value(Random& random, std::string expression);
// How a calculation is spelled: blanks around the signs or none, × or x for *, ÷ for /.
std::string spelled(Random& random, std::string_view expression);
// Changes that people make anywhere: no capital at the beginning, "please", no mark at the end.
std::string casual(Random& random, std::string question);

}  // namespace reckon::eval
