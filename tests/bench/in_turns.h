#pragma once
// Things are measured in turns, so that all of them see the same machine; ratios are taken turn by turn.
#include <algorithm>
#include <chrono>
#include <vector>

#include "tools/bench/ratio.h"

namespace tessera {

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// median of a[i] / b[i]
inline double median_ratio(std::vector<double> a, const std::vector<double>& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), [](double x, double y) { return x / y; });
  return median(a);
}

}  // namespace tessera
