// What an answer's text says in the end, in a form that can be compared: answers that mean the same
// number or text become the same string. Votes, agreement between probes and graders stand on it.
#pragma once

#include <string>
#include <string_view>

namespace reckon {

// The part of a text that states its result; empty when there is none. In this order: the last
// complete \boxed{} or \fbox{} (braces may nest), the last <answer>…</answer>, what follows the
// last "answer is", "answer:" or "####" up to the end of its sentence, the last line with text.
std::string extract_answer(std::string_view text);

// What of a text counts in a vote: the same, but where nothing announces the result, the code of a
// block that the text ends in, or its last paragraph. held: to a grammar or a schema; then it is
// the whole text.
std::string voted_answer(std::string_view text, bool held);

// The canonical form. A number (whole, decimal, with thousands separators, \frac{a}{b}, a/b or
// "1 1/2", 1.5e3, 2 \times 10^{5}) becomes a reduced fraction "n/d", or "n": 0.50, 1/2 and
// \frac{2}{4} are one. Beyond 18 digits whole numbers and decimals still are; fractions then are
// text. Text loses $…$, \text{}, emphasis, \left and \right, a full stop at its end, the case of
// ASCII letters and, unless it has words, the blanks beside its signs. As usual in graders of MATH
// answers, currency signs, percent signs and degrees count for nothing, and "x = 5" is "5". Longer
// than 4096 bytes: only blanks and case. A JSON object or array keeps its texts as they are, and
// has its keys in order and no blanks.
std::string normalise_answer(std::string_view answer);

// Whether two stated results are the same and not empty.
bool same_answer(std::string_view a, std::string_view b);

}  // namespace reckon
