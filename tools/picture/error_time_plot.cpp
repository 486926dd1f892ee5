#include "tools/picture/error_time_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/table.h"

namespace tessera {
namespace {

constexpr double width = 760, height = 460, left = 84, right = 150, top = 52, bottom = 64;
constexpr const char* colours[] = {"#164278", "#d6763c", "#3c8c5a", "#8c3c78", "#b03a3a", "#5a5a5a"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string words(double x, double y, const std::string& text, const char* anchor = "start", const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y, anchor, more,
                     escaped(text));
}

// Round steps of 1, 2 or 5 times a power of ten.
double round_step(double range) {
  const double power = std::pow(10, std::floor(std::log10(range / 4)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (range / (factor * power) <= 5) return factor * power;
  return 10 * power;
}

struct PlotAxes {
  explicit PlotAxes(const std::vector<PlotPoint>& points) {
    double smallest = INFINITY, largest = 0;
    for (const auto& p : points) {
      slowest = std::max(slowest, p.seconds);
      if (p.error > 0 && std::isfinite(p.error))
        smallest = std::min(smallest, p.error), largest = std::max(largest, p.error);
    }
    slowest = slowest > 0 ? slowest * 1.08 : 1;
    if (!(largest > 0)) smallest = 1e-3, largest = 1;
    low = static_cast<int>(std::floor(std::log10(smallest))) - 1;
    high = std::max(static_cast<int>(std::ceil(std::log10(largest))), low + 2);
  }
  double x(double seconds) const { return left + seconds / slowest * (width - left - right); }
  double y(double error) const {
    if (!std::isfinite(error)) return top;
    const double place = error > 0 ? std::log10(error) : low;
    return height - bottom - (place - low) / (high - low) * (height - top - bottom);
  }
  double slowest = 0;
  int low = 0, high = 0;  // powers of ten
};

}  // namespace

std::string error_time_plot(const std::string& title, const std::vector<PlotPoint>& points) {
  const PlotAxes axes(points);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\" fill=\"#282828\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      width, height);
  svg += words(left, 26, title, "start", "font-size=\"15\" font-weight=\"bold\"");
  const double end_x = width - right, end_y = height - bottom;
  for (int power = axes.low; power <= axes.high; ++power) {
    const double y = axes.y(std::pow(10, power));
    svg += fmt::format("<path d=\"M{} {:.1f}H{}\" stroke=\"#dde1e6\"/>\n", left, y, end_x);
    svg += words(left - 8, y + 4, power == axes.low ? "0" : fmt::format("1e{}", power), "end");
  }
  for (double t = 0; t <= axes.slowest; t += round_step(axes.slowest)) {
    svg += fmt::format("<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#dde1e6\"/>\n", axes.x(t), top, end_y);
    svg += words(axes.x(t), end_y + 18, t == 0 ? "0" : readable_time(t), "middle");
  }
  svg += fmt::format("<path d=\"M{0} {1}V{2}H{3}\" fill=\"none\" stroke=\"#282828\"/>\n", left, top, end_y, end_x);
  svg += words((left + end_x) / 2, height - 18, "time of the model", "middle");
  svg += fmt::format(
      "<text transform=\"translate(24 {:.1f}) rotate(-90)\" text-anchor=\"middle\">"
      "relative L2 error of the outputs</text>\n",
      (top + end_y) / 2);
  std::vector<std::pair<double, double>> labels;  // where names stand already
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double x = axes.x(points[i].seconds), y = axes.y(points[i].error);
    const char* colour = colours[i % std::size(colours)];
    double label = y - 6;
    const auto taken = [&](double at) {
      return std::any_of(labels.begin(), labels.end(),
                         [&](const auto& l) { return std::abs(l.first - x) < 110 && std::abs(l.second - at) < 14; });
    };
    while (taken(label)) label -= 14;
    labels.emplace_back(x, label);
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\"/>\n", x, y, colour);
    const std::string text = points[i].name + (std::isfinite(points[i].error) ? "" : ": not finite");
    svg += words(x + 8, label, text, "start", fmt::format("fill=\"{}\"", colour).c_str());
  }
  return svg + "</svg>\n";
}

}  // namespace tessera
