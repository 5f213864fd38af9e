// A list of settings, and lines of SVG.
#include "eval/thinking_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "eval/evaluate.h"

namespace reckon::eval {
namespace {

constexpr int64_t kMaxPaths = 16;

ThinkingMethod early(std::string family, std::string name, const EarlyStop& early) {
  return {std::move(family), std::move(name), [early](Request& r) { r.early_stop = early; }};
}

ThinkingMethod vote(std::string family, std::string name, const PathOptions& paths) {
  return {std::move(family), std::move(name), [paths](Request& r) { r.paths = paths; }, paths.n};
}

// --- the plot

constexpr double kWidth = 860;
constexpr double kHeight = 520;
constexpr double kLeft = 70;
constexpr double kRight = 230;  // the legend's
constexpr double kTop = 30;
constexpr double kBottom = 60;
constexpr std::array<std::string_view, 8> kColours{"#1b6ca8", "#c0392b", "#2e8b57", "#8e5bb5",
                                                   "#d98300", "#555555", "#008b8b", "#b03a75"};

class Plot {
 public:
  explicit Plot(const std::vector<MethodScore>& scores) {
    double least = 1e300;
    double most = 1;
    for (const MethodScore& score : scores) {
      least = std::min(least, std::max(score.mean_tokens, 1.0));
      most = std::max(most, score.mean_tokens);
      const Interval interval = wilson_interval(score.n_right, score.n);
      lowest_ = std::min(lowest_, interval.low);
      highest_ = std::max(highest_, interval.high);
    }
    first_ = std::log2(std::min(least, most) / 1.2);
    last_ = std::log2(most * 1.2);
    lowest_ = std::floor(lowest_ * 20) / 20;
    highest_ = std::ceil(highest_ * 20) / 20;
    if (highest_ <= lowest_) highest_ = lowest_ + 0.05;
  }
  double x(double tokens) const {
    const double place = (std::log2(std::max(tokens, 1.0)) - first_) / (last_ - first_);
    return kLeft + place * (kWidth - kLeft - kRight);
  }
  double y(double share) const {
    const double place = (share - lowest_) / (highest_ - lowest_);
    return kHeight - kBottom - place * (kHeight - kTop - kBottom);
  }
  std::string axes() const {
    std::string svg;
    for (int exponent = static_cast<int>(std::ceil(first_)); exponent <= last_; ++exponent) {
      const double tokens = std::exp2(exponent);
      svg += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"#ddd\"/><text x=\"{0:.1f}\" y=\"{3:.1f}\" "
          "text-anchor=\"middle\">{4:.0f}</text>\n",
          x(tokens), kTop, kHeight - kBottom, kHeight - kBottom + 18, tokens);
    }
    const int n_lines = 5;
    for (int i = 0; i <= n_lines; ++i) {
      const double share = lowest_ + (highest_ - lowest_) * i / n_lines;
      svg += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}\" stroke=\"#ddd\"/><text x=\"{3:.1f}\" y=\"{4:.1f}\" "
          "text-anchor=\"end\">{5:.0f} %</text>\n",
          kLeft, y(share), kWidth - kRight, kLeft - 8, y(share) + 4, 100 * share);
    }
    return svg;
  }

 private:
  double first_ = 0;  // log2 of the tokens at the left end
  double last_ = 1;
  double lowest_ = 1;
  double highest_ = 0;
};

}  // namespace

ThinkingMethod full_thought() {
  return {"one path", "full thought", [](Request&) {}};
}

std::vector<ThinkingMethod> thinking_methods(int64_t mean_thought_tokens,
                                             const std::string& style) {
  using Rule = EarlyStop::Rule;
  using Stop = PathOptions::Stop;
  std::vector<ThinkingMethod> methods;
  for (const int64_t percent : {25, 50, 75, 100}) {
    const int64_t budget = std::max<int64_t>(1, mean_thought_tokens * percent / 100);
    methods.push_back({"budget", fmt::format("budget {} %", percent),
                       [budget](Request& r) { r.think_budget = budget; }});
  }
  const EarlyStop base{.min_gap = 8, .style = style};
  for (const double confidence : {0.8, 0.9, 0.95, 0.99}) {
    EarlyStop confident = base;
    confident.rule = Rule::kConfident;
    confident.confidence = confidence;
    methods.push_back(early("confident", fmt::format("confident {}", confidence), confident));
  }
  for (const int64_t agreeing : {2, 3, 4}) {
    EarlyStop agreed = base;
    agreed.rule = Rule::kAgreed;
    agreed.agreeing = agreeing;
    methods.push_back(early("agreed", fmt::format("agreed {}", agreeing), agreed));
  }
  for (const int64_t n : {int64_t{4}, int64_t{8}, kMaxPaths}) {
    methods.push_back(vote("majority", fmt::format("majority of {}", n),
                           {.n = n, .window = n, .stop = Stop::kOff}));
  }
  for (const double confidence : {0.8, 0.9, 0.95, 0.99}) {
    methods.push_back(vote("adaptive", fmt::format("adaptive {}", confidence),
                           {.n = kMaxPaths, .window = 2, .confidence = confidence}));
  }
  methods.push_back(
      vote("window", "window of 4", {.n = kMaxPaths, .window = 4, .stop = Stop::kWindow}));
  methods.push_back(vote("weighted", "weighted 16",
                         {.n = kMaxPaths, .window = 16, .stop = Stop::kOff, .weighted = true}));
  return methods;
}

std::string plot_svg(const std::vector<MethodScore>& scores) {
  const Plot plot(scores);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\"><rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  svg += plot.axes();
  std::vector<std::string> families;
  for (const MethodScore& score : scores) {
    if (std::find(families.begin(), families.end(), score.family) == families.end()) {
      families.push_back(score.family);
    }
  }
  for (size_t f = 0; f < families.size(); ++f) {
    const std::string_view colour = kColours[f % kColours.size()];
    std::string line;
    std::string points;
    for (const MethodScore& score : scores) {
      if (score.family != families[f] || score.n == 0) continue;
      const double share = static_cast<double>(score.n_right) / static_cast<double>(score.n);
      const Interval interval = wilson_interval(score.n_right, score.n);
      const double x = plot.x(score.mean_tokens);
      line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : "L", x, plot.y(share));
      points += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"{3}\"/><circle cx=\"{0:.1f}\" "
          "cy=\"{4:.1f}\" r=\"4\" fill=\"{3}\"><title>{5}</title></circle>\n",
          x, plot.y(interval.low), plot.y(interval.high), colour, plot.y(share), score.name);
    }
    svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\"/>\n{}", line, colour, points);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" fill=\"{}\">{}</text>\n", kWidth - kRight + 20,
                       kTop + 20 * (static_cast<double>(f) + 1), colour, families[f]);
  }
  svg += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">tokens spent for a problem</text>"
      "<text x=\"{:.1f}\" y=\"20\">right, 95 % interval</text></svg>\n",
      (kLeft + kWidth - kRight) / 2, kHeight - 16, kLeft);
  return svg;
}

}  // namespace reckon::eval
