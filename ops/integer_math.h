#pragma once
// Arithmetic that is defined for every value: integers wrap modulo 2^bits, as numpy's do; floats as IEEE 754 says.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "runtime/tensor/tensor.h"

namespace tessera {

// Unsigned and at least as wide as int, so that no promotion to a signed type can overflow.
template <class T>
using Wrapping = std::common_type_t<std::make_unsigned_t<T>, unsigned>;

template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  else
    return a + b;
}
template <class T>
T wrapping_sub(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
  else
    return a - b;
}
template <class T>
T wrapping_mul(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  else
    return a * b;
}
template <class T>
T wrapping_neg(T a) {
  if constexpr (std::is_integral_v<T>)
    return wrapping_sub(T{0}, a);
  else
    return -a;
}
template <class T>
T wrapping_abs(T a) {
  if constexpr (std::is_unsigned_v<T>)
    return a;
  else if constexpr (std::is_integral_v<T>)
    return a < 0 ? wrapping_neg(a) : a;
  else
    return std::abs(a);
}

// a / b towards zero; b is not 0. The smallest integer divided by -1 wraps to itself.
template <class T>
T wrapping_div(T a, T b) {
  if constexpr (std::is_signed_v<T> && std::is_integral_v<T>)
    return b == -1 ? wrapping_neg(a) : static_cast<T>(a / b);
  else
    return static_cast<T>(a / b);
}

// a^n by squaring, n >= 0.
template <class T>
T wrapping_pow(T a, std::uint64_t n) {
  T result{1};
  for (; n > 0; n >>= 1) {
    if (n & 1) result = wrapping_mul(result, a);
    a = wrapping_mul(a, a);
  }
  return result;
}

// x in T; of integers truncated, clamped to their range, and 0 for NaN.
template <class T>
T to_element(double x) {
  if constexpr (std::is_integral_v<T>) {
    constexpr T lowest = std::numeric_limits<T>::min(), highest = std::numeric_limits<T>::max();
    if (x != x) return 0;
    // (The highest 64-bit values round up to a power of two, which is out of range.)
    return x <= static_cast<double>(lowest) ? lowest : x >= static_cast<double>(highest) ? highest : static_cast<T>(x);
  } else {
    return static_cast<T>(x);
  }
}

// Error(bad_input) when integers would be divided by zero; floats give infinities and NaN.
template <class T>
void check_divisors(const Tensor& divisor) {
  if constexpr (std::is_integral_v<T>) {
    const auto values = divisor.read<T>();
    check(std::find(values.begin(), values.end(), T{0}) == values.end(), "division by zero");
  }
}

}  // namespace tessera
