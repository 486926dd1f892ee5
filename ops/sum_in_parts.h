#pragma once
// Long sums of f32 that lose nothing.
#include <algorithm>
#include <cstdint>

namespace tessera {

// Sum of f(i) for i < n: of 2,048 at a time in C, these added in f64.
template <class C, class F>
double sum_in_parts(std::int64_t n, F f) {
  constexpr std::int64_t block = 2048;
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(n, begin + block);
    C partial = 0;
#pragma omp simd reduction(+ : partial)
    for (std::int64_t i = begin; i < end; ++i) partial += f(i);
    total += static_cast<double>(partial);
  }
  return total;
}

}  // namespace tessera
