#pragma once
// Elementary functions of f32 as straight-line code, so that GCC vectorises the `omp simd` loops they are inlined into:
// no calls, no branches, no tables. The overloads for f64 call the C library. Infinities, NaN, signed zeros and
// subnormal numbers are as in the C library, except where a function says otherwise.
//
// Errors in units in the last place against the exact result, with and without fused multiply-add; tests/ops holds
// every function to its bound. Polynomials are our own minimax fits; reductions follow Cody & Waite, "Software Manual
// for the Elementary Functions", 1980.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace tessera::vector_math {

// x = n ln 2 + r with |r| <= ln 2 / 2, and p = e^r - 1. Requires |x| < 2^15 or NaN.
struct ExpParts {
  std::uint32_t n;  // two's complement; any value when x is NaN
  float p;
};
inline ExpParts exp_parts(float x) {
  // Adding 1.5 2^23 rounds to the nearest integer and leaves it in the low bits: no conversion, so no trouble with NaN.
  constexpr float round = 0x1.8p23f;
  constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;  // n ln2_high is exact
  const float shifted = x * std::numbers::log2e_v<float> + round;
  const float n = shifted - round;
  const float r = (x - n * ln2_high) - n * ln2_low;
  float q = 0x1.6db4e4p-10f;
  q = q * r + 0x1.123be0p-7f;
  q = q * r + 0x1.55545ep-5f;
  q = q * r + 0x1.55548ep-3f;
  q = q * r + 0.5f;
  return {std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(round), r + (r * r) * q};
}

// 2^n for a two's complement n in [-126, 127].
inline float power_of_two(std::uint32_t n) { return std::bit_cast<float>((n + 127u) << 23); }

// e^x. 1.1 ulp.
inline float exp(float x) {
  x = x < -104.0f ? -104.0f : x;  // results round to 0
  x = x > 89.0f ? 89.0f : x;      // and to infinity
  const ExpParts e = exp_parts(x);
  // n reaches -150 and 128, so 2^n is applied in two halves; only the second can round.
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(e.n) >> 1);
  return (1.0f + e.p) * power_of_two(half) * power_of_two(e.n - half);
}
inline double exp(double x) { return std::exp(x); }

// e^x - 1, exact in digits next to 0 too. 2 ulp. expm1(-0) is +0.
inline float expm1(float x) {
  x = x < -18.0f ? -18.0f : x;  // results round to -1
  x = x > 89.0f ? 89.0f : x;    // and to infinity
  const ExpParts e = exp_parts(x);
  const float half = power_of_two(e.n - 1);  // n reaches 128
  const float m = half * e.p + (half - 0.5f);
  return m + m;
}
inline double expm1(double x) { return std::expm1(x); }

// tanh x = (e^2|x| - 1) / (e^2|x| + 1) with the sign of x. 3 ulp.
inline float tanh(float x) {
  float a = std::abs(x);
  a = a > 10.0f ? 10.0f : a;  // tanh 10 rounds to 1
  const ExpParts e = exp_parts(a + a);
  const float scale = power_of_two(e.n);
  const float m = scale * e.p + (scale - 1.0f);  // e^2a - 1 without cancellation
  return std::copysign(m / (m + 2.0f), x);
}
inline double tanh(double x) { return std::tanh(x); }

// 1 / (1 + e^-x), exact in the far tail too. 3 ulp.
inline float sigmoid(float x) {
  const float e = exp(-std::abs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

// (2 / sqrt pi) times the integral of e^-t^2 over [0, x]. 2 ulp.
inline float erf(float x) {
  float a = std::abs(x);
  a = a > 4.0f ? 4.0f : a;  // erf 4 rounds to 1
  // |x| < 0.9: x + x P(x^2).
  const float s = a * a;
  float p = -0x1.3f5112p-11f;
  p = p * s + 0x1.48773ep-8f;
  p = p * s - 0x1.b6befap-6f;
  p = p * s + 0x1.ce1dd4p-4f;
  p = p * s - 0x1.8126f9p-2f;
  p = p * s + 0x1.06eba6p-3f;
  // Beyond: 1 - e^Q(|x|), Q the logarithm of erfc.
  float q = 0x1.9d859ep-13f;
  q = q * a - 0x1.908172p-9f;
  q = q * a + 0x1.6cfd00p-6f;
  q = q * a - 0x1.aa2324p-4f;
  q = q * a - 0x1.462cb0p-1f;
  q = q * a - 0x1.20b432p+0f;
  q = q * a - 0x1.7437bep-13f;
  const ExpParts e = exp_parts(q);  // q in [-16, 0]
  const float far = 1.0f - (1.0f + e.p) * power_of_two(e.n);
  return std::copysign(a < 0.9f ? a + a * p : far, x);
}
inline double erf(double x) { return std::erf(x); }

// log x, computed in f64 and rounded once: 0.501 ulp.
inline float log(float x) {
  // In f64 every positive f32 is normal: x = 2^e m with m in [sqrt 1/2, sqrt 2).
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
  constexpr std::uint64_t mantissa = 0x000fffffffffffff, two52 = 0x4330000000000000;
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(static_cast<double>(x)) + (one - root_half);
  const double m = std::bit_cast<double>((bits & mantissa) + root_half);
  const double e = std::bit_cast<double>((bits >> 52) | two52) - (0x1p52 + 1023.0);
  const double s = (m - 1.0) / (m + 1.0), z = s * s;  // log m = 2 atanh s
  double p = 0x1.e3053c89df564p-4;
  p = p * z + 0x1.2438796bab4e2p-3;
  p = p * z + 0x1.999a7bec075c8p-3;
  p = p * z + 0x1.555554fce5b97p-2;
  const auto y = static_cast<float>(e * std::numbers::ln2 + (s + s) * (1.0 + z * p));
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float special = x == 0.0f ? -infinity : x < 0.0f ? std::numeric_limits<float>::quiet_NaN() : x;
  return x > 0.0f && x < infinity ? y : special;
}
inline double log(double x) { return std::log(x); }

// log(1 + e) for e in [0, 1] or NaN, as 2 atanh(e / (2 + e)). 2 ulp.
inline float log1p_unit(float e) {
  const float s = e / (2.0f + e), z = s * s;
  float p = 0x1.f1c5f8p-4f;
  p = p * z + 0x1.b6d100p-4f;
  p = p * z + 0x1.2509aep-3f;
  p = p * z + 0x1.9996a6p-3f;
  p = p * z + 0x1.555558p-2f;
  return (s + s) + (s + s) * (z * p);
}
inline double log1p_unit(double e) { return std::log1p(e); }

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). 3 ulp.
template <class T>
T softplus(T x) {
  return (x > T{0} ? x : T{0}) + log1p_unit(exp(-std::abs(x)));
}

// tanh(log(1 + e^x)), as ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1) with e^-|x| in place of e^x. 4 ulp.
template <class T>
T tanh_softplus(T x) {
  const T e = exp(-std::abs(x));
  const T far = e * (e + T{2}), near = T{1} + T{2} * e;
  return x < T{0} ? far / (far + T{2}) : near / (near + T{2} * e * e);
}

// sin(x + quarter pi/2) for |x| <= largest_angle; other x give any value. 1.5 ulp. sin(-0) is +0.
inline constexpr float largest_angle = 0x1p20f;
inline float sin_quarter(float x, std::uint32_t quarter) {
  // The reduction by pi/2 happens in f64: n pi/2 high is exact, so r is right to f32 even next to multiples of pi/2.
  constexpr double round = 0x1.8p52, pi2_high = 0x1.921fb544p+0, pi2_low = 0x1.0b4611a626331p-34;
  const double d = x;
  const double shifted = d * (2.0 / std::numbers::pi) + round;
  const double n = shifted - round;
  const auto r = static_cast<float>((d - n * pi2_high) - n * pi2_low);
  const auto quadrant = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(shifted)) + quarter;
  const float z = r * r;
  float s = -0x1.a00f9ep-13f + 0x1.6cd83ap-19f * z;
  s = s * z + 0x1.111108p-7f;
  s = s * z - 0x1.555556p-3f;
  s = r + (r * z) * s;
  float c = 0x1.9a020ap-16f;
  c = c * z - 0x1.6c0c8ap-10f;
  c = c * z + 0x1.55554ap-5f;
  c = 1.0f + (z * z * c - 0.5f * z);
  const float y = quadrant & 1u ? c : s;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(y) ^ ((quadrant & 2u) << 30));
}

}  // namespace tessera::vector_math
