// The vector functions against the C library.
#include "ops/simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

namespace tessera::simd {
namespace {

// f of x, where x fills all lanes with neighbours lo + step * (i, i + 1, ...).
template <class T, class F, class Check>
void sweep(double lo, double hi, int points, F f, Check check) {
  for (int i = 0; i < points; i += kLanes<T>) {
    T x[kLanes<T>], y[kLanes<T>];
    for (int l = 0; l < kLanes<T>; ++l) x[l] = static_cast<T>(lo + (hi - lo) * (i + l) / points);
    store<T>(y, f(load<T>(x)));
    for (int l = 0; l < kLanes<T>; ++l) check(x[l], y[l]);
  }
}

// Distance in units of the last place of the result.
template <class T>
double ulps(T got, long double expected) {
  const T next = std::nextafter(std::abs(got), std::numeric_limits<T>::infinity());
  return static_cast<double>(std::abs(static_cast<long double>(got) - expected) / (next - std::abs(got)));
}

template <class T>
void expect_exp2(double lo, double hi) {
  double worst = 0;
  T before = 0;
  bool monotone = true;
  sweep<T>(
      lo, hi, 100000, [](Vec<T> x) { return exp2<T>(x); },
      [&](T x, T y) {
        worst = std::max(worst, ulps(y, exp2l(x)));
        monotone = monotone && y >= before;
        before = y;
      });
  EXPECT_LE(worst, 1.2) << lo << " to " << hi;
  EXPECT_TRUE(monotone) << lo << " to " << hi;
}

TEST(Simd, exp2_within_rounding) {
  expect_exp2<float>(-126, 0);
  expect_exp2<float>(-1, 1);
  expect_exp2<float>(0, 127.4);
  expect_exp2<double>(-1022, 0);
  expect_exp2<double>(-1, 1);
  expect_exp2<double>(0, 1023.4);
}

template <class T>
T exp2_of(T x) {
  return exp2<T>(broadcast(x))[0];
}

template <class T>
void expect_limits() {
  const T infinity = std::numeric_limits<T>::infinity();
  EXPECT_EQ(exp2_of(-infinity), T(0));
  EXPECT_EQ(exp2_of(infinity), infinity);
  EXPECT_TRUE(std::isnan(exp2_of(std::numeric_limits<T>::quiet_NaN())));
  EXPECT_EQ(exp2_of(T(0)), T(1));
  EXPECT_EQ(exp2_of(T(-0.0)), T(1));
  EXPECT_EQ(exp2_of(T(-1)), T(0.5));
  EXPECT_EQ(exp2_of(std::numeric_limits<T>::lowest()), T(0));
  EXPECT_EQ(exp2_of(std::numeric_limits<T>::max()), infinity);
  EXPECT_LT(exp2_of(T(-1100)), T(1e-30));
}

TEST(Simd, exp2_at_the_limits) {
  expect_limits<float>();
  expect_limits<double>();
}

TEST(Simd, tanh_within_rounding) {
  double worst = 0;
  const auto check = [&](auto x, auto y) {
    const double expected = std::tanh(static_cast<double>(x));
    worst = std::max(worst, expected == 0 ? std::abs(static_cast<double>(y)) : std::abs(y / expected - 1));
  };
  sweep<float>(
      -24, 24, 100000, [](Vec<float> x) { return tanh<float>(x); }, check);
  sweep<float>(
      -1e-3, 1e-3, 1000, [](Vec<float> x) { return tanh<float>(x); }, check);
  EXPECT_LE(worst, 3e-7);
  EXPECT_EQ(tanh<float>(broadcast(1e30f))[0], 1.0f);
  EXPECT_EQ(tanh<float>(broadcast(-1e30f))[0], -1.0f);
}

template <class T>
void expect_transpose() {
  constexpr int n = kLanes<T>;
  T m[n * n];
  for (int i = 0; i < n * n; ++i) m[i] = static_cast<T>(i);
  Vec<T> rows[n];
  for (int i = 0; i < n; ++i) rows[i] = load(m + i * n);
  transpose<T>(rows);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) EXPECT_EQ(rows[i][j], m[j * n + i]);
}

TEST(Simd, transposes_a_square) {
  expect_transpose<float>();
  expect_transpose<double>();
}

TEST(Simd, broadcast_keeps_the_sign_of_zero) { EXPECT_TRUE(std::signbit(broadcast(-0.0f)[1])); }

TEST(Simd, maximum_prefers_numbers_to_a_first_nan) {
  const auto nan = broadcast(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(maximum<float>(nan, broadcast(2.0f))[0], 2.0f);
  EXPECT_EQ(maximum<float>(broadcast(3.0f), broadcast(2.0f))[0], 3.0f);
}

TEST(Simd, part_of_a_vector_touches_no_more) {
  float x[kLanes<float>];
  std::fill_n(x, kLanes<float>, 7.0f);
  store_first<float>(x, load_first<float>(x, 2) + 1.0f, 3);
  EXPECT_EQ(x[1], 8.0f);
  EXPECT_EQ(x[2], 1.0f);
  EXPECT_EQ(x[3], 7.0f);
}

// Every half-width number comes out as its conversion says, and goes back to itself.
template <class T>
void expect_conversions() {
  for (std::uint32_t bits = 0; bits < 65536; bits += kLanes<float>) {
    T x[kLanes<float>], back[kLanes<float>];
    for (int l = 0; l < kLanes<float>; ++l) {
      x[l] = std::bit_cast<T>(static_cast<std::uint16_t>(bits + static_cast<std::uint32_t>(l)));
    }
    const Vec<float> wide = load_as<float>(x);
    store_as<float>(back, wide);
    for (int l = 0; l < kLanes<float>; ++l) {
      const auto expected = static_cast<float>(x[l]);
      ASSERT_TRUE(wide[l] == expected || (std::isnan(wide[l]) && std::isnan(expected))) << bits;
      ASSERT_TRUE(std::isnan(expected) || std::memcmp(&x[l], &back[l], sizeof(T)) == 0) << bits;
    }
  }
}

// Vectors are rounded as single numbers are: to nearest even, into subnormals, over the top, NaN.
template <class T>
void expect_rounding() {
  constexpr int lanes = kLanes<float>;
  float wide[lanes];
  T narrow[lanes];
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 1009 * lanes) {
    for (int l = 0; l < lanes; ++l)
      wide[l] = std::bit_cast<float>(static_cast<std::uint32_t>(bits + 1009u * static_cast<std::uint32_t>(l)));
    store_as<float>(narrow, load(wide));
    for (int l = 0; l < lanes; ++l) ASSERT_EQ(narrow[l].bits, T(wide[l]).bits) << wide[l];
  }
}

TEST(Simd, rounds_to_16_bit_types) {
  expect_rounding<f16>();
  expect_rounding<bf16>();
}

TEST(Simd, converts_16_bit_types) {
  expect_conversions<f16>();
  expect_conversions<bf16>();
}

}  // namespace
}  // namespace tessera::simd
