#pragma once
// One element from one executable type to another, without undefined behaviour.
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/tensor/dtype.h"

namespace tessera {

// A double as float, inexact results with an odd last bit: rounding again to fewer bits then gives the nearest.
inline float round_to_odd(double d) {
  const float f = static_cast<float>(d);
  const double back = f;
  if (back == d || !(std::abs(back) <= std::numeric_limits<double>::max())) return f;  // exact, NaN or infinite
  auto bits = std::bit_cast<std::uint32_t>(f);
  if (std::abs(back) > std::abs(d)) --bits;  // towards zero
  return std::bit_cast<float>(bits | 1u);
}

// As C++ does, after clamping floats to the range of an integer target (NaN becomes 0). Integers wrap. To bool: x != 0.
// Floats round to nearest, ties to even, once.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_same_v<To, bool>) {
    return static_cast<Compute<From>>(x) != 0;
  } else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    const double d = static_cast<double>(static_cast<Compute<From>>(x));
    if (!(d == d)) return 0;
    if (d <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (d >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(d);
  } else if constexpr (std::is_same_v<To, f16> || std::is_same_v<To, bf16>) {
    if constexpr (sizeof(From) > 2)
      return To(std::is_same_v<From, float> ? static_cast<float>(x) : round_to_odd(static_cast<double>(x)));
    else
      return To(static_cast<float>(x));
  } else {
    return static_cast<To>(static_cast<Compute<From>>(x));
  }
}

}  // namespace tessera
