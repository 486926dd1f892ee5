#pragma once
// Sixteen-bit floats as storage. Arithmetic happens in f32: kernels load through Compute<T>, compute, and round once on
// store (round to nearest, ties to even). f16: IEEE 754 binary16; bf16: the upper half of an f32.
#include <bit>
#include <cstdint>

namespace [[gnu::visibility("default")]] tessera {

struct f16 {
  std::uint16_t bits = 0;
  f16() = default;
  explicit f16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    std::uint32_t h;
    if (magnitude > 0x7f800000u) {
      h = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // NaN stays NaN
    } else if (magnitude >= 0x47800000u) {
      h = 0x7c00u;  // |x| >= 65536 overflows; 65520..65536 rounds up to infinity below
    } else if (magnitude < 0x38800000u) {
      // Subnormal: adding 2^-1 aligns the 10 bits at the bottom of the mantissa, rounded by the FPU.
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      h = std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
    } else {
      h = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    bits = static_cast<std::uint16_t>(sign | h);
  }
  explicit f16(double x) : f16(static_cast<float>(x)) {}
  explicit operator float() const {
    const std::uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    // Scale by 2^112: exact for normals and subnormals alike.
    const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | sign);
  }
  friend bool operator==(f16 a, f16 b) { return float(a) == float(b); }
};

struct bf16 {
  std::uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit bf16(double x) : bf16(static_cast<float>(x)) {}
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  friend bool operator==(bf16 a, bf16 b) { return float(a) == float(b); }
};

// The type a kernel computes in: f32 for the sixteen-bit floats, T itself otherwise.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<f16> {
  using type = float;
};
template <>
struct ComputeType<bf16> {
  using type = float;
};
template <class T>
using Compute = typename ComputeType<T>::type;

}  // namespace tessera
