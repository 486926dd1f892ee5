#include "tests/bench/peak.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

#include "ops/simd.h"

namespace tessera {
namespace {

using Vector = simd::Vec<float>;
constexpr int chains = 12;  // independent sums: more than latency x units, and they fit in 16 registers
constexpr long rounds = 2'000'000;
constexpr double flops = 2.0 * chains * rounds * simd::kLanes<float>;

// Returns something that depends on all of it.
float multiply_adds(float seed) {
  const Vector a = simd::broadcast(seed), b = simd::broadcast(1 - seed);
  Vector sums[chains];  // all different, lest the compiler computes one for several
  for (int i = 0; i < chains; ++i) sums[i] = simd::broadcast(seed * static_cast<float>(i));
  for (long r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) sums[i] = simd::multiply_add<float>(sums[i], a, b);
  Vector total{};
  for (const Vector& s : sums) total += s;
  return simd::reduce_add<float>(total);
}

}  // namespace

double peak_gflops(int threads, int tries) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds(static_cast<std::size_t>(tries));
  Clock::time_point begin;
  volatile float seed = 0.5f, sink = 0;  // unknown to the compiler, and wanted
  int phase = 0;                         // the barrier's completions: even ones start a try, odd ones end it
  std::barrier meet(threads, [&]() noexcept {
    if (phase % 2 == 0)
      begin = Clock::now();
    else
      seconds[static_cast<std::size_t>(phase / 2)] = std::chrono::duration<double>(Clock::now() - begin).count();
    ++phase;
  });
  const auto work = [&] {
    for (int t = 0; t < tries; ++t) {
      meet.arrive_and_wait();
      const float result = multiply_adds(seed);
      meet.arrive_and_wait();
      if (result < 0) sink = result;
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  others.clear();
  return flops * threads / *std::min_element(seconds.begin(), seconds.end()) / 1e9;
}

}  // namespace tessera
