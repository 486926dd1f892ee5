#include "admitted_blocks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tessera/choose.hpp>

namespace tessera::bsa {
namespace {

std::vector<double> softmax(std::span<const float> scores) {
  const double top = static_cast<double>(*std::max_element(scores.begin(), scores.end()));
  std::vector<double> p(scores.size());
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(static_cast<double>(scores[i]) - top);
  for (double& x : p) x /= sum;
  return p;
}

// `slack`: what rounding may have done to the values. It must not split those that are equal to the mean.
std::int64_t above_threshold(std::span<const double> values, double keep, double slack) {
  const auto n = static_cast<double>(values.size());
  if (keep >= 1) return std::ssize(values);  // U(0) = -inf, also where all values are equal
  if (keep <= 0) return 1;
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double square = 0;
  for (const double x : values) square += (x - mean) * (x - mean);
  const double threshold = mean + std::sqrt(square / n) * normal_quantile(1 - keep) - slack;
  return std::count_if(values.begin(), values.end(), [&](double x) { return x >= threshold; });
}

std::int64_t first_with_mass(std::vector<double> p, double tau) {
  if (tau >= 1) return std::ssize(p);
  std::sort(p.begin(), p.end(), std::greater<>());
  tau -= 1e-9;  // nine tenths added up are a little less than 0.9
  double mass = 0;
  std::int64_t count = 0;
  while (count < std::ssize(p) && mass < tau) mass += p[static_cast<std::size_t>(count++)];
  return count;
}

std::int64_t count_admitted(const BlockLimits& limits, std::span<const float> scores) {
  const bool orderly = std::all_of(scores.begin(), scores.end(), [](float x) { return std::isfinite(x); });
  if (limits.rule == BlockRule::topk || !orderly) return plugin::share_of(limits.keep, std::ssize(scores));
  if (limits.rule == BlockRule::cdf) return first_with_mass(softmax(scores), limits.tau);
  // Scores are sums in f32, and an error in a score is a relative one in its probability.
  double noise = 0;
  for (const float x : scores) noise = std::max(noise, 1e-6 * std::abs(static_cast<double>(x)));
  if (limits.rule == BlockRule::stat_logit)
    return above_threshold(std::vector<double>(scores.begin(), scores.end()), limits.keep, noise);
  return above_threshold(softmax(scores), limits.keep,
                         std::clamp(noise, 1e-6, 1.0) / static_cast<double>(scores.size()));
}

}  // namespace

double normal_quantile(double p) {
  if (p <= 0) return -INFINITY;
  if (p >= 1) return INFINITY;
  if (p > 0.5) return -normal_quantile(1 - p);
  // P(x) = erfc(-x / sqrt 2) / 2 is accurate for x < 0; halving the interval 64 times leaves rounding only.
  double low = -40, high = 0;
  for (int i = 0; i < 64; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::int64_t aimed_at(const BlockLimits& limits, std::int64_t n) {
  const std::int64_t most = limits.most > 0 ? std::min(limits.most, n) : n;
  return std::clamp(plugin::share_of(limits.keep, n), std::clamp<std::int64_t>(limits.least, 1, most), most);
}

std::int64_t most_admitted(const BlockLimits& limits, std::int64_t n) {
  if (limits.rule == BlockRule::topk) return aimed_at(limits, n);
  return limits.most > 0 ? std::min(limits.most, n) : n;
}

std::vector<std::int32_t> admitted_blocks(const BlockLimits& limits, std::span<const float> scores) {
  const std::int64_t most = limits.most > 0 ? std::min(limits.most, std::ssize(scores)) : std::ssize(scores);
  const std::int64_t least = std::clamp<std::int64_t>(limits.least, 1, most);
  return plugin::largest(scores, std::clamp(count_admitted(limits, scores), least, most));
}

}  // namespace tessera::bsa
