#pragma once
// What selectors share: counts from fractions, and the largest of some scores with ties to the lowest index.
// Header-only and independent of the ABI.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::plugin {

// ceil(fraction * n), at least 1 and at most n (n >= 1). Rounded to six decimals first: (1 - 0.7) * 10 is 3, though
// doubles say 3.0000000000000004.
inline std::int64_t share_of(double fraction, std::int64_t n) {
  const double exact = std::round(fraction * static_cast<double>(n) * 1e6) / 1e6;
  return static_cast<std::int64_t>(std::ceil(std::clamp(exact, 1.0, static_cast<double>(n))));
}

// Larger scores have larger ranks, then lower indices. Zeros of both signs are equal. NaN is largest, so that it shows
// in the result as it would without a selection.
inline std::uint64_t rank_of(float score, std::size_t index) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);
  const std::uint32_t ordered = std::isnan(score) ? 0xffffffffu : (bits >> 31) ? ~bits : bits | 0x80000000u;
  return std::uint64_t{ordered} << 32 | (0xffffffffu - static_cast<std::uint32_t>(index));
}

// Indices of the `count` largest scores, in no order; equal scores are taken from the lowest index on. 0 <= count <= n.
inline std::vector<std::int32_t> largest(std::span<const float> scores, std::int64_t count) {
  std::vector<std::uint64_t> ranks(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) ranks[i] = rank_of(scores[i], i);
  if (count < std::ssize(ranks)) std::nth_element(ranks.begin(), ranks.begin() + count, ranks.end(), std::greater<>());
  std::vector<std::int32_t> indices(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < indices.size(); ++i)
    indices[i] = static_cast<std::int32_t>(0xffffffffu - static_cast<std::uint32_t>(ranks[i]));
  return indices;
}

}  // namespace tessera::plugin
