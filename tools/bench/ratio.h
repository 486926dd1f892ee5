#pragma once
// Numbers about measured times.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// Of an even number the mean of the two in the middle. (Here for the benchmarks, which do without the runner's
// library.)
inline double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return (x[(x.size() - 1) / 2] + x[x.size() / 2]) / 2;
}
double percentile(std::vector<double> x, double part);  // nearest rank: the smallest value that `part` of all reach

// With fewer pairs an interval holds less than 95 %: it is their range.
inline constexpr int fewest_pairs = 6;

// Median of the paired ratios a[i] / b[i], and an interval that holds the true median with 95 % confidence whatever the
// distribution: the order statistics x_(k), x_(n+1-k) with the largest k for which P(Binomial(n, 1/2) < k) <= 2.5 %
// (Conover, "Practical Nonparametric Statistics", section 3.2). Below `fewest_pairs`: minimum and maximum.
struct Ratio {
  double median = 0, low = 0, high = 0;
};
Ratio paired_ratio(const std::vector<double>& a, const std::vector<double>& b);

// "ratio<=0.9": a quantity, one of < <= > >=, a number.
struct Requirement {
  std::string quantity, relation;
  double bound = 0;
  bool holds(double value) const;
};
// Error(bad_input) when malformed or of a quantity not in `known`.
Requirement parse_requirement(const std::string& text, const std::vector<std::string>& known);

}  // namespace tessera
