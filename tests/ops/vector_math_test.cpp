// The f32 functions against the C library in f64, in units in the last place.
#include "ops/vector_math.h"

#include <gtest/gtest.h>

namespace tessera::vector_math {
namespace {

double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9;
  const auto nearest = static_cast<float>(exact);
  if (got == nearest) return std::signbit(got) == std::signbit(nearest) || got != 0 ? 0 : 1e9;
  if (std::isinf(got) || std::isinf(nearest)) return std::abs(exact) > 3.402823e38 ? 1 : 1e9;
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(static_cast<double>(got) - exact) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

// The largest error over floats of all exponents and both signs, infinities and NaN, up to `limit` in size.
template <class F, class G>
double worst(F f, G exact, float limit = std::numeric_limits<float>::infinity()) {
  constexpr int block = 1024;
  float x[block], y[block];
  double largest = 0;
  for (std::uint64_t first = 0; first < (std::uint64_t{1} << 32); first += block * 4099) {
    for (int i = 0; i < block; ++i) {
      x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + static_cast<std::uint64_t>(i) * 4099));
      if (std::abs(x[i]) > limit || (x[i] != x[i] && limit < 1e38f)) x[i] = 1;
    }
#pragma omp simd
    for (int i = 0; i < block; ++i) y[i] = f(x[i]);
    for (int i = 0; i < block; ++i) largest = std::max(largest, ulps(y[i], exact(static_cast<double>(x[i]))));
  }
  return largest;
}

TEST(VectorMath, is_within_its_bounds) {
  EXPECT_LE(worst([](float x) { return exp(x); }, [](double x) { return std::exp(x); }), 1.1);
  EXPECT_LE(worst([](float x) { return x == 0 ? x : expm1(x); }, [](double x) { return std::expm1(x); }), 2);
  EXPECT_LE(worst([](float x) { return tanh(x); }, [](double x) { return std::tanh(x); }), 3);
  EXPECT_LE(worst([](float x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }), 3);
  EXPECT_LE(worst([](float x) { return erf(x); }, [](double x) { return std::erf(x); }), 2);
  EXPECT_LE(worst([](float x) { return log(x); }, [](double x) { return std::log(x); }), 0.501);
  EXPECT_LE(worst([](float x) { return softplus(x); },
                  [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }),
            3);
  EXPECT_LE(worst([](float x) { return tanh_softplus(x); },
                  [](double x) { return std::tanh(std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)))); }),
            4);
}

TEST(VectorMath, reduces_angles_exactly) {
  const auto sine = [](float x) { return x == 0 ? x : sin_quarter(x, 0); };
  const auto cosine = [](float x) { return sin_quarter(x, 1); };
  EXPECT_LE(worst(
                sine, [](double x) { return std::sin(x); }, largest_angle),
            1.5);
  EXPECT_LE(worst(
                cosine, [](double x) { return std::cos(x); }, largest_angle),
            1.5);
}

TEST(VectorMath, takes_infinities_and_the_ends_of_the_range) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exp(infinity), infinity);
  EXPECT_EQ(exp(-infinity), 0);
  EXPECT_EQ(exp(0.0f), 1);
  EXPECT_EQ(expm1(infinity), infinity);
  EXPECT_EQ(expm1(-infinity), -1);
  EXPECT_EQ(expm1(-1e-30f), -1e-30f);
  EXPECT_EQ(log(0.0f), -infinity);
  EXPECT_TRUE(std::isnan(log(-1.0f)));
  EXPECT_EQ(log(infinity), infinity);
  EXPECT_EQ(log(1.0f), 0);
  EXPECT_EQ(tanh(-infinity), -1);
  EXPECT_EQ(sigmoid(-infinity), 0);
  EXPECT_EQ(softplus(infinity), infinity);
  EXPECT_EQ(erf(-infinity), -1);
}

// T5 puts distance 8 * 2^k into bucket 8 + 2 k by truncating log(d / 8) / log(16) * 8: one unit in the last place less
// would give the bucket below.
TEST(VectorMath, log_puts_powers_of_two_into_their_t5_bucket) {
  for (int k = 0; k <= 4; ++k) {
    const float ratio = log(std::ldexp(1.0f, k)) / static_cast<float>(std::log(16.0));
    EXPECT_EQ(static_cast<int>(ratio * 8.0f), 2 * k) << k;
  }
}

}  // namespace
}  // namespace tessera::vector_math
