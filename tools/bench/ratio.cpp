#include "tools/bench/ratio.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/nearest.h"

namespace tessera {

double percentile(std::vector<double> x, double part) {
  std::sort(x.begin(), x.end());
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(x.size())));
  return x[std::clamp<std::size_t>(rank, 1, x.size()) - 1];
}

namespace {

// The largest k with P(Binomial(n, 1/2) < k) <= 2.5 %, at least 1.
std::size_t interval_rank(std::size_t n) {
  const auto size = static_cast<double>(n);
  if (n > 1000) return static_cast<std::size_t>(size / 2 - 0.98 * std::sqrt(size));  // the binomial is normal by then
  double term = std::pow(0.5, size), below = term;
  std::size_t k = 0;
  for (; k < n / 2 && below <= 0.025; below += term) {
    ++k;
    term *= static_cast<double>(n - k + 1) / static_cast<double>(k);
  }
  return std::max<std::size_t>(k, 1);
}

}  // namespace

Ratio paired_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  std::sort(ratios.begin(), ratios.end());
  const std::size_t n = ratios.size(), k = interval_rank(n);
  return {median(ratios), ratios[k - 1], ratios[n - k]};
}

bool Requirement::holds(double value) const {
  if (relation == "<") return value < bound;
  if (relation == "<=") return value <= bound;
  return relation == ">" ? value > bound : value >= bound;
}

Requirement parse_requirement(const std::string& text, const std::vector<std::string>& known) {
  Requirement r;
  const auto at = text.find_first_of("<>");
  check(at != std::string::npos, "--require ", text, ": expected a condition, as 'ratio<=0.9'");
  r.relation = text.substr(at, at + 1 < text.size() && text[at + 1] == '=' ? 2 : 1);
  for (const char c : text.substr(0, at))
    if (c != ' ') r.quantity += c;
  const bool there = std::find(known.begin(), known.end(), r.quantity) != known.end();
  check(there, "--require ", text, ": there is no '", r.quantity, "'", nearest_or_all(r.quantity, known));
  auto number = text.substr(at + r.relation.size());
  number.erase(0, number.find_first_not_of(' '));
  number.erase(number.find_last_not_of(' ') + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), r.bound);
  check(error == std::errc() && end == number.data() + number.size(), "--require ", text, ": '", number,
        "' is no number");
  return r;
}

}  // namespace tessera
