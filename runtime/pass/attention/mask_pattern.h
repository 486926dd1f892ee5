#pragma once
// What a mask says, without computing it: the same everywhere, or one thing up to a diagonal and another beyond. So the
// causal mask of a long sequence, which is never folded, is known without a buffer of size Lq x Lk, whether it was
// written by Trilu, by comparing positions, or as a constant.
#include "runtime/graph/graph.h"

namespace tessera {

// Element [..., i, j] is `low` where j - i <= diagonal, else `high`. Uniform: low and high are the same.
struct MaskPattern {
  Tensor low, high;  // one element each
  std::int64_t diagonal = 0;
  bool uniform() const { return same_bits(low, high); }
};

// Nothing when the value is neither, or depends on more than shapes and constants.
std::optional<MaskPattern> mask_pattern(const Graph& g, ValueId v);

// The number that all elements of a value are, as f64.
std::optional<double> uniform_value(const Graph& g, ValueId v);

}  // namespace tessera
