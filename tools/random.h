#pragma once
// Seeded numbers that are the same on every machine, for any number of threads: element i depends on (seed, i) alone,
// and only integers and exact conversions are used.
//
//   word(seed, n) = mix(mix(seed + g) + n g), g = 0x9e3779b97f4a7c15, mix: the finaliser of SplitMix64
//   uniform i     = (word(seed, i) >> 40) / 2^24                                           in [0, 1)
//   normal i      = (sum of the 12 16-bit parts of words 3i .. 3i+2, less 393210) / 2^16   mean 0, variance 1
//   integer i     = low + (word(seed, i) * (high - low)) >> 64                             in [low, high)
//
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014); the normal is a sum of twelve
// uniforms (Irwin-Hall), so it ends at +-6.
#include <cstdint>
#include <span>

#include "runtime/tensor/tensor.h"

namespace tessera {

// Elements first, first + 1, ... of the sequence.
void fill_uniform(std::span<float> to, std::uint64_t seed, std::uint64_t first = 0);
void fill_normal(std::span<float> to, std::uint64_t seed, std::uint64_t first = 0);

// A tensor of floating type; f64, f16 and bf16 are converted from f32.
Tensor random_uniform(DType dtype, const Shape& shape, std::uint64_t seed);
Tensor random_normal(DType dtype, const Shape& shape, std::uint64_t seed);
// Integers low <= x < high, in any element type that is a number or bool. Error(bad_input) when the range is empty,
// or when the type does not have its ends.
Tensor random_integers(DType dtype, const Shape& shape, std::int64_t low, std::int64_t high, std::uint64_t seed);

}  // namespace tessera
