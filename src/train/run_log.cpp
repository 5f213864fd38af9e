// CSV and SVG as text.
#include "train/run_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/file.h"

namespace reckon::train {
namespace {

constexpr double kWidth = 860;
constexpr double kPanelHeight = 250;
constexpr double kLeft = 80;
constexpr double kRight = 20;
constexpr double kTop = 36;
constexpr double kBottom = 40;
constexpr std::array kColours = {"#1f5fa8", "#c2571a", "#2d7d46", "#7a3b9d", "#9c2b2b"};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // 0 to 1 of a range that is never empty.
  double share(double value) const { return high > low ? (value - low) / (high - low) : 0.5; }
};

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string draw_panel(const PlotPanel& panel, double top) {
  Range x;
  Range y;
  for (const PlotLine& line : panel.lines) {
    for (const double value : line.x) x.include(value);
    for (const double value : line.y) y.include(value);
  }
  const double width = kWidth - kLeft - kRight;
  const double height = kPanelHeight - kTop - kBottom;
  std::string svg = fmt::format("<text x=\"{}\" y=\"{}\" class=\"t\">{}</text>\n", kLeft, top + 20,
                                escape(panel.title));
  svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"f\"/>\n", kLeft,
                     top + kTop, width, height);
  if (!(x.low <= x.high) || !(y.low <= y.high)) return svg;
  constexpr int kTicks = 4;
  for (int i = 0; i <= kTicks; ++i) {
    const double share = static_cast<double>(i) / kTicks;
    const double at_y = top + kTop + height * (1 - share);
    const double at_x = kLeft + width * share;
    svg += fmt::format(
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n"
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.4g}</text>\n",
        kLeft - 6, at_y + 4, y.low + share * (y.high - y.low), at_x, top + kTop + height + 16,
        x.low + share * (x.high - x.low));
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", kWidth - kRight,
                     top + kTop + height + 32, escape(panel.x_name));
  size_t colour = 0;
  double legend = kWidth - kRight;
  for (const PlotLine& line : panel.lines) {
    const char* ink = kColours[colour++ % kColours.size()];
    svg += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"", ink);
    for (size_t i = 0; i < line.x.size(); ++i) {
      svg += fmt::format("{:.1f},{:.1f} ", kLeft + width * x.share(line.x[i]),
                         top + kTop + height * (1 - y.share(line.y[i])));
    }
    svg += "\"/>\n";
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{}\">{}</text>\n",
                       legend, top + 20, ink, escape(line.name));
    legend -= 9 * static_cast<double>(line.name.size()) + 16;
  }
  return svg;
}

}  // namespace

void RunLog::add(const std::vector<double>& row) {
  RECKON_CHECK(row.size() == columns_.size());
  for (const double value : row) values_.push_back(static_cast<float>(value));
}

size_t RunLog::column(std::string_view name) const {
  const auto found = std::ranges::find(columns_, name);
  RECKON_CHECK(found != columns_.end());
  return static_cast<size_t>(found - columns_.begin());
}

Status RunLog::set(std::vector<float> values) {
  if (values.size() % columns_.size() != 0) {
    return bad_file(fmt::format("the run's log: expected rows of {} numbers, found {} numbers",
                                columns_.size(), values.size()));
  }
  values_ = std::move(values);
  return {};
}

Status RunLog::write_csv(const std::string& path) const {
  std::string text = fmt::format("{}\n", fmt::join(columns_, ","));
  for (size_t row = 0; row < n_rows(); ++row) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      const float value = values_[row * columns_.size() + i];
      text += fmt::format("{}{}", i == 0 ? "" : ",",
                          std::isnan(value) ? "" : fmt::format("{:.7g}", value));
    }
    text += '\n';
  }
  return write_file(path, text);
}

std::string plot_svg(const std::vector<PlotPanel>& panels) {
  const double height = kPanelHeight * static_cast<double>(panels.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\">\n"
      "<style>text{{font:12px sans-serif}}.t{{font-weight:bold}}"
      ".f{{fill:none;stroke:#bbb}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      kWidth, height);
  double top = 0;
  for (const PlotPanel& panel : panels) {
    svg += draw_panel(panel, top);
    top += kPanelHeight;
  }
  return svg + "</svg>\n";
}

std::vector<PlotPanel> panels_of(const RunLog& log,
                                 const std::vector<std::vector<std::string>>& groups) {
  std::vector<PlotPanel> panels;
  for (const std::vector<std::string>& group : groups) {
    PlotPanel panel{fmt::format("{}", fmt::join(group, ", ")), "step", {}};
    for (const std::string& name : group) {
      PlotLine line{name, {}, {}};
      const size_t column = log.column(name);
      for (size_t row = 0; row < log.n_rows(); ++row) {
        const double y = log.at(row, column);
        if (!std::isfinite(y)) continue;
        line.x.push_back(log.at(row, 0));
        line.y.push_back(y);
      }
      if (!line.x.empty()) panel.lines.push_back(std::move(line));
    }
    if (!panel.lines.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

}  // namespace reckon::train
