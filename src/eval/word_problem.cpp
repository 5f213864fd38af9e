// Fills templates with names, things and numbers that make sense, and works the formula out.
#include "eval/word_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "eval/scratchpad.h"
#include "eval/word_templates.h"
#include "eval/wording.h"

namespace reckon::eval {
namespace {

constexpr auto kNames = std::to_array<std::string_view>(
    {"Tom",  "Anna", "Ben",  "Lily", "Sam",  "Mia",  "Jack", "Emma", "Noah", "Sara",
     "Leo",  "Ella", "Max",  "Zoe",  "Paul", "Nina", "Adam", "Lucy", "Omar", "Ruth",
     "Ivan", "Kate", "Hugo", "Rosa", "Finn", "Vera", "Carl", "Judy", "Li",   "Amir"});
constexpr auto kHeldOutNames =
    std::to_array<std::string_view>({"Oscar", "Hannah", "Felix", "Greta", "Pedro", "Ingrid",
                                     "Winston", "Chloe", "Dmitri", "Yasmin"});
constexpr auto kThings = std::to_array<std::string_view>(
    {"apples",   "marbles",    "books",    "coins",    "cards",  "stickers",   "pens",
     "eggs",     "cookies",    "toys",     "oranges",  "stones", "cups",       "plates",
     "bottles",  "chairs",     "shirts",   "socks",    "hats",   "keys",       "lemons",
     "cakes",    "fish",       "ducks",    "hens",     "sheep",  "trees",      "leaves",
     "nuts",     "beans",      "candies",  "crayons",  "bags",   "cars",       "bikes",
     "dolls",    "kites",      "maps",     "notes",    "photos", "pears",      "plums",
     "peaches",  "carrots",    "potatoes", "tomatoes", "onions", "magnets",    "beads",
     "ribbons",  "puzzles",    "songs",    "tasks",    "points", "tokens",     "badges",
     "flags",    "bolts",      "screws",   "nails",    "tiles",  "paint cans", "water bottles",
     "toy cars", "story books"});
constexpr auto kPlaces = std::to_array<std::string_view>(
    {"box",    "basket", "bag",   "jar", "shelf", "drawer", "room", "garden", "shop", "store",
     "school", "park",   "house", "bin", "case",  "packet", "bowl", "crate",  "yard", "class"});
struct Verb {
  std::string_view third;
  std::string_view plain;
};
constexpr auto kVerbs = std::to_array<Verb>({{"buys", "buy"},         {"finds", "find"},
                                             {"makes", "make"},       {"gets", "get"},
                                             {"sells", "sell"},       {"reads", "read"},
                                             {"eats", "eat"},         {"uses", "use"},
                                             {"collects", "collect"}, {"draws", "draw"},
                                             {"paints", "paint"},     {"brings", "bring"},
                                             {"carries", "carry"},    {"counts", "count"},
                                             {"washes", "wash"},      {"packs", "pack"},
                                             {"builds", "build"},     {"cleans", "clean"},
                                             {"writes", "write"},     {"opens", "open"},
                                             {"sold", "sell"},        {"used", "use"},
                                             {"found", "find"},       {"made", "make"},
                                             {"lost", "lose"},        {"gave away", "give away"},
                                             {"ate", "eat"},          {"broke", "break"},
                                             {"bought", "buy"},       {"won", "win"},
                                             {"packed", "pack"},      {"needed", "need"}});

// A word that means nothing, so that the model learns not to lean on the words it knows.
std::string made_up_word(Random& random) {
  static constexpr auto kStarts = std::to_array<std::string_view>(
      {"b",  "br", "c",  "ch", "cl", "d",  "dr", "f",  "fl", "g",  "gl",
       "gr", "h",  "j",  "k",  "l",  "m",  "n",  "p",  "pl", "pr", "qu",
       "r",  "s",  "sc", "sh", "sl", "st", "t",  "th", "tr", "v",  "w"});
  static constexpr auto kMiddles = std::to_array<std::string_view>(
      {"a",  "e",  "i",  "o",  "u",  "ai",  "ea",  "ee",  "oa",  "oo",   "ou",  "er", "or",
       "ar", "an", "en", "in", "on", "ick", "ell", "amp", "ist", "ound", "ill", "utt"});
  static constexpr auto kEnds = std::to_array<std::string_view>(
      {"",  "b",   "ck",  "d",   "g",  "l",  "m",  "n", "p",   "r",
       "t", "ter", "ler", "ner", "et", "le", "ow", "y", "ing", "ant"});
  std::string word;
  const int64_t n = random.between(1, 2);
  for (int64_t i = 0; i < n; ++i) {
    word.append(random.pick(kStarts)).append(random.pick(kMiddles));
  }
  return word.append(random.pick(kEnds));
}

constexpr auto kPeople = std::to_array<std::string_view>(
    {"driver",      "nurse",  "singer",     "girl",   "boy",    "child",  "pilot",
     "farm worker", "clerk",  "doctor",     "writer", "guard",  "player", "student",
     "runner",      "waiter", "shop owner", "hunter", "mother", "father", "king",
     "neighbour",   "worker", "robot",      "team",   "family", "group"});
constexpr auto kAdjectives = std::to_array<std::string_view>(
    {"red", "blue", "small", "big", "old", "new", "green", "white", "heavy", "long", "sweet",
     "broken", "round", "wooden", "fresh", "black", "yellow", "cheap"});
struct Adjuncts {
  std::string_view first;
  std::string_view second;
};
constexpr auto kAdjuncts = std::to_array<Adjuncts>({{"on Monday", "on Tuesday"},
                                                    {"in the morning", "in the evening"},
                                                    {"at first", "later"},
                                                    {"in May", "in June"},
                                                    {"at home", "at school"},
                                                    {"before lunch", "after lunch"},
                                                    {"last week", "this week"},
                                                    {"in one year", "in the next"},
                                                    {"one day", "the day after"},
                                                    {"today", "tomorrow"},
                                                    {"by bus", "by train"},
                                                    {"with {M}", "alone"},
                                                    {"early", "late"},
                                                    {"for {M}", "for a friend"}});
constexpr auto kPrepositions = std::to_array<std::string_view>(
    {"at the", "in the", "near the", "on the", "before", "after", "during the", "by", "with the"});
constexpr auto kStretches = std::to_array<std::string_view>(
    {"day", "hour", "week", "minute", "month", "year", "night", "morning", "trip", "lesson"});

using Slots = std::map<std::string, std::string, std::less<>>;

std::string capitalised(std::string text) {
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

// Who or what, to begin a sentence and to be named again.
void draw_subject(Random& random, const std::string& name, std::string& subject,
                  std::string& again) {
  const int64_t kind = random.between(0, 9);
  if (kind < 4) {
    subject = again = name;
    return;
  }
  const std::string noun = random.chance(45)   ? made_up_word(random)
                           : random.chance(50) ? std::string(random.pick(kPeople))
                                               : std::string(random.pick(kPlaces));
  subject = (random.chance(65) ? "A " : "The ") + noun;
  again = "the " + noun;
}

std::string plural_thing(Random& random) {
  return random.chance(50) ? std::string(random.pick(kThings)) : made_up_word(random) + "s";
}

std::string past_verb(Random& random) {
  return random.chance(40) ? std::string(random.pick(kVerbs).third) : made_up_word(random) + "ed";
}

std::string adjective(Random& random) {
  if (random.chance(35)) return "";
  return (random.chance(60) ? std::string(random.pick(kAdjectives)) : made_up_word(random)) + " ";
}

// What a question asks about, in the words it may have.
void draw_questions(Random& random, Slots& slots) {
  static constexpr auto kTotal = std::to_array<std::string_view>(
      {"in total", "altogether", "in all", "all together", "together", "in total", "altogether"});
  static constexpr auto kNow =
      std::to_array<std::string_view>({"are there", "is that", "are there now", "does {R} have now",
                                       "does that make", "were there"});
  static constexpr auto kLeft = std::to_array<std::string_view>(
      {"are left", "remain", "are left", "are still there", "does {R} have left", "are left over",
       "does {R} still have"});
  static constexpr auto kMade = std::to_array<std::string_view>(
      {"are made", "are there", "are needed", "does {R} need", "can be made", "does {R} have"});
  const auto with_subject = [&](std::string_view text) {
    std::string filled(text);
    if (const size_t at = filled.find("{R}"); at != std::string::npos) {
      filled.replace(at, 3, slots["R"]);
    }
    return filled;
  };
  slots["total"] = random.pick(kTotal);
  slots["now"] = with_subject(random.pick(kNow));
  if (!slots["now"].ends_with("now") || random.chance(20)) slots["now"] += " " + slots["total"];
  slots["left"] = with_subject(random.pick(kLeft));
  slots["made"] = with_subject(random.pick(kMade));
  slots["things"] = random.chance(50)   ? std::string("things")
                    : random.chance(50) ? std::string("pieces")
                                        : plural_thing(random);
}

void draw_adjuncts(Random& random, Slots& slots) {
  if (random.chance(45)) {
    const std::string_view preposition = random.pick(kPrepositions);
    slots["t"] = fmt::format("{} {}", preposition, made_up_word(random));
    slots["T"] = fmt::format("{} {}", random.pick(kPrepositions), made_up_word(random));
  } else {
    const Adjuncts& pair = random.pick(kAdjuncts);
    slots["t"] = pair.first;
    slots["T"] = pair.second;
    if (const size_t at = slots["t"].find("{M}"); at != std::string::npos) {
      slots["t"].replace(at, 3, slots["M"]);
    }
  }
  slots["t2"] = capitalised(slots["t"]);
}

// The words of the stories whose words are mostly drawn.
void draw_more_words(Random& random, Slots& slots) {
  draw_subject(random, slots["N"], slots["S"], slots["R"]);
  draw_subject(random, slots["M"], slots["S2"], slots["R2"]);
  // S2 stands within sentences.
  if (slots["S2"].starts_with("A ")) slots["S2"][0] = 'a';
  if (slots["S2"].starts_with("The ")) slots["S2"][0] = 't';
  slots["w"] = past_verb(random);
  slots["w2"] = past_verb(random);
  slots["x"] = adjective(random);
  slots["y"] = adjective(random);
  slots["q"] = plural_thing(random);
  slots["r"] = plural_thing(random);
  slots["day"] = random.chance(75) ? std::string(random.pick(kStretches)) : made_up_word(random);
  draw_adjuncts(random, slots);
  draw_questions(random, slots);
}

Slots draw_words(Random& random, bool held_out) {
  Slots slots;
  if (held_out) {
    slots["N"] = random.pick(kHeldOutNames);
    do slots["M"] = random.pick(kHeldOutNames);
    while (slots["M"] == slots["N"]);
    return slots;
  }
  const auto name = [&] {
    if (random.chance(75)) return std::string(random.pick(kNames));
    return capitalised(made_up_word(random));
  };
  slots["N"] = name();
  do slots["M"] = name();
  while (slots["M"] == slots["N"]);
  slots["o"] = plural_thing(random);
  slots["p"] = random.chance(60) ? std::string(random.pick(kPlaces)) : made_up_word(random);
  const Verb& verb = random.pick(kVerbs);
  slots["v"] = verb.third;
  slots["u"] = verb.plain;
  if (random.chance(45)) {
    slots["u"] = made_up_word(random);
    slots["v"] = slots["u"] + (random.chance(50) ? "s" : "ed");
  }
  draw_more_words(random, slots);
  return slots;
}

// Numbers that make every step of the formula a natural number.
using Numbers = std::map<char, int64_t>;

bool uses(std::string_view formula, std::string_view what) {
  return formula.find(what) != std::string_view::npos;
}

Numbers draw_numbers(Random& random, std::string_view formula) {
  const int64_t small = random.between(2, 12);
  const int64_t big = random.chance(75) ? random.between(3, 99) : random.between(100, 999);
  Numbers n;
  if (formula == "a2/2") {
    n['a'] = 2 * random.between(2, 99);
  } else if (formula == "a/b") {
    n['b'] = small;
    n['a'] = small * (big > 99 ? random.between(2, 99) : random.between(2, 20));
  } else if (formula == "(a+b)/c" || formula == "(a-b)/c") {
    n['c'] = small;
    const int64_t rest = small * random.between(2, 20);
    n['b'] = formula[2] == '+' ? random.between(1, rest - 1) : random.between(1, 99);
    n['a'] = formula[2] == '+' ? rest - n['b'] : rest + n['b'];
  } else if (uses(formula, "*")) {
    n['a'] = random.between(2, 60);
    n['b'] = uses(formula, "(") ? random.between(2, 60) : small;
    n['c'] = small;
    if (formula == "a*b-c") n['c'] = random.between(1, n['a'] * n['b'] - 1);
    if (formula == "a*b+c") n['c'] = random.between(1, 99);
    if (formula == "a*b" && random.chance(50)) std::swap(n['a'], n['b']);
  } else {
    n['a'] = big;
    n['b'] = random.between(1, uses(formula, "-b") ? big - 1 : std::max<int64_t>(99, big));
    const int64_t left = uses(formula, "-b") ? big - n['b'] : big + n['b'];
    n['c'] = random.between(1, uses(formula, "-c") ? std::max<int64_t>(1, left - 1) : 99);
    if (formula == "a-b-c" && left < 2) return draw_numbers(random, formula);
  }
  return n;
}

std::string fill_story(std::string_view story, const Slots& slots, const Numbers& numbers) {
  std::string text;
  while (!story.empty()) {
    const size_t at = std::min(story.find('{'), story.size());
    text += story.substr(0, at);
    story.remove_prefix(at);
    if (story.empty()) break;
    const size_t end = story.find('}');
    const std::string_view slot = story.substr(1, end - 1);
    story.remove_prefix(end + 1);
    const bool is_number = slot == "a2" || (slot.size() == 1 && slot[0] >= 'a' && slot[0] <= 'd');
    std::string word = is_number ? std::to_string(numbers.at(slot[0])) : slots.find(slot)->second;
    if (text.ends_with(". ")) word = capitalised(std::move(word));
    text += word;
  }
  return text;
}

// Formulas have one or two operations, the first of which is calculated first.
int64_t work_out_formula(std::string_view formula, const Numbers& numbers, Scratchpad& work) {
  std::string flat;
  std::string shown;
  for (size_t i = 0; i < formula.size(); ++i) {
    const char c = formula[i];
    if (c == '2' && i > 0 && formula[i - 1] == 'a') continue;
    if (c != '(' && c != ')') flat += c;
    shown += c >= 'a' && c <= 'd' ? std::to_string(numbers.at(c)) : std::string(1, c);
  }
  const auto value = [&](char c) { return c >= 'a' && c <= 'd' ? numbers.at(c) : c - '0'; };
  if (flat.size() > 3) work.line(shown);
  int64_t result = work.apply(flat[1], value(flat[0]), value(flat[2]));
  if (flat.size() > 3) result = work.apply(flat[3], result, value(flat[4]));
  return result;
}

Problem story_problem(Random& random, const WordTemplate& story, bool held_out) {
  const Slots slots = draw_words(random, held_out);
  const Numbers numbers = draw_numbers(random, story.formula);
  Problem problem;
  problem.kind = "word";
  problem.rule = "number";
  problem.question = fill_story(story.story, slots, numbers);
  problem.content = problem.question;
  Scratchpad work;
  problem.answer = std::to_string(work_out_formula(story.formula, numbers, work));
  problem.thought = work.take();
  return problem;
}

struct Unit {
  std::string_view large;
  std::string_view small;
  int64_t factor;
};
constexpr auto kUnits = std::to_array<Unit>({{"hours", "minutes", 60},
                                             {"minutes", "seconds", 60},
                                             {"days", "hours", 24},
                                             {"weeks", "days", 7},
                                             {"years", "months", 12},
                                             {"dozens", "pieces", 12},
                                             {"kilometers", "meters", 1000},
                                             {"kilograms", "grams", 1000},
                                             {"liters", "milliliters", 1000},
                                             {"meters", "centimeters", 100},
                                             {"centimeters", "millimeters", 10},
                                             {"dollars", "cents", 100},
                                             {"tons", "kilograms", 1000}});

}  // namespace

int count_held_out_templates() { return static_cast<int>(held_out_templates().size()); }

Problem make_word_problem(Random& random, bool held_out) {
  const auto templates = held_out ? held_out_templates() : training_templates();
  return story_problem(random, random.pick(templates), held_out);
}

Problem make_unit(Random& random) {
  const Unit& unit = random.pick(kUnits);
  const bool down = random.chance(60);  // into the smaller unit
  const int64_t n = random.chance(60) ? random.between(2, 60) : random.between(2, 999);
  static const std::vector<std::string_view> wordings = {"How many {1} are in {2} {0}?",
                                                         "Convert {2} {0} to {1}.",
                                                         "How many {1} are there in {2} {0}?",
                                                         "{2} {0} are how many {1}?",
                                                         "Express {2} {0} in {1}.",
                                                         "What is {2} {0} in {1}?"};
  const int64_t given = down ? n : n * unit.factor;
  const std::string_view from = down ? unit.large : unit.small;
  const std::string_view to = down ? unit.small : unit.large;
  Problem problem;
  problem.kind = "unit";
  problem.rule = "number";
  problem.question = casual(
      random, fmt::format(fmt::runtime(random.pick(wordings)), from, to, std::to_string(given)));
  problem.content = fmt::format("{} {} in {}", given, from, to);
  Scratchpad work;
  problem.answer = std::to_string(work.apply(down ? '*' : '/', given, unit.factor));
  problem.thought = work.take();
  return problem;
}

namespace {

// "a? b: 3 digits<4 digits", or the first digits that differ.
std::string compare(int64_t a, int64_t b) {
  const std::string x = std::to_string(a);
  const std::string y = std::to_string(b);
  const std::string shown = fmt::format("{} {}: ", x, y);
  if (x.size() != y.size()) {
    return shown +
           fmt::format("{}{}{} digits", x.size(), x.size() < y.size() ? '<' : '>', y.size());
  }
  std::string text = shown;
  for (size_t i = 0; i < x.size(); ++i) {
    text += fmt::format("{}{}{} ", x[i], x[i] < y[i] ? '<' : x[i] > y[i] ? '>' : '=', y[i]);
    if (x[i] != y[i]) break;
  }
  text.pop_back();
  return text;
}

}  // namespace

Problem make_comparison(Random& random) {
  Problem problem;
  problem.kind = "comparison";
  problem.rule = "text";
  const bool near = random.chance(60);
  const int64_t a = random.number(5);
  int64_t b = 0;
  do {
    b = near ? std::max<int64_t>(1, a + random.between(-a / 2 - 1, a / 2 + 1)) : random.number(5);
  } while (b == a);
  const std::string x = std::to_string(a);
  const std::string y = std::to_string(b);
  static const std::vector<std::string_view> larger = {
      "Which is larger, {} or {}?", "Which number is bigger: {} or {}?",
      "Which is greater, {} or {}?", "What is the larger of {} and {}?",
      "Which is more, {} or {}?"};
  static const std::vector<std::string_view> smaller = {
      "Which is smaller, {} or {}?", "Which number is less: {} or {}?",
      "What is the smaller of {} and {}?", "Which is less, {} or {}?"};
  static const std::vector<std::string_view> is_larger = {
      "Is {} greater than {}?", "Is {} larger than {}?", "Is {} more than {}?",
      "Is {} bigger than {}?"};
  static const std::vector<std::string_view> is_smaller = {"Is {} less than {}?",
                                                           "Is {} smaller than {}?"};
  const int64_t kind = random.between(0, 9);
  const auto& wordings = kind < 4 ? larger : kind < 7 ? smaller : kind < 9 ? is_larger : is_smaller;
  problem.question = casual(random, fill(random.pick(wordings), {x, y}));
  problem.content = fmt::format("compare {} {}", std::min(a, b), std::max(a, b));
  // Which one it is stands beside the sign that decides it; what was asked is far away.
  const bool asks_larger = kind < 4 || (kind >= 7 && kind < 9);
  problem.thought = fmt::format("{} {} {}", compare(a, b), asks_larger ? "larger" : "smaller",
                                asks_larger == (a > b) ? "first" : "second");
  if (kind < 7) {
    problem.rule = "number";
    problem.answer = std::to_string(kind < 4 ? std::max(a, b) : std::min(a, b));
  } else {
    problem.answer = (kind < 9) == (a > b) ? "Yes" : "No";
  }
  return problem;
}

}  // namespace reckon::eval
