#pragma once
// Shared by QuantizeLinear and DequantizeLinear: which scale and zero point belong to which elements; and what the
// operators of quantised products are imported as.
//
// One for the whole tensor, one per slice along an axis, or one per block of an axis. Elements are taken in runs that
// share one, or of which each has its own and these lie side by side. Thread rule: runs are split by sizes only.
#include <algorithm>

#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {

// Elements [begin, begin + n) have the scales from `scale` on, at a step of 0 or 1.
struct QuantizedRun {
  std::int64_t begin, n, scale, step;
};

// The elements are `outer` pieces of `size` each, and each piece is made of runs of `run` (the last may be shorter).
struct QuantizedRuns {
  std::int64_t outer = 1, size = 0, run = 0, step = 0;
  std::int64_t outer_scales = 0, group = 1, group_scales = 0;  // scales from piece to piece, and per `group` runs

  // Error(bad_input) where scale, attributes "axis" and "block_size" do not fit x.
  QuantizedRuns(const AttributeReader& attr, const Shape& x, const Shape& scale);
  std::int64_t per_piece() const { return run == 0 ? 0 : divide_up(size, run); }
};

// One scale for the whole tensor: a scalar, or a vector of one where there are no blocks.
bool one_scale(const AttributeReader& attr, const Shape& scale);

// The shape rule of both: x, scale and zero point (absent or of the scale's shape); the output is as x.
void quantized_shape(ShapeContext& c);

// The element type that attribute "output_dtype" asks for; undefined where it does not. Error(unsupported) where there
// are no kernels for it.
DType output_dtype(const AttributeReader& attr, DTypeSet allowed);

inline constexpr std::int64_t quantized_columns = 1024;

// Calls work(const QuantizedRun&) for all elements, at most quantized_columns of them at a time, in parallel.
template <class Work>
void for_each_run(const QuantizedRuns& runs, Work work) {
  const std::int64_t per_piece = runs.per_piece(), parts = divide_up(runs.run, quantized_columns);
  const std::int64_t grain =
      std::max<std::int64_t>(1, 16384 / std::clamp<std::int64_t>(runs.run, 1, quantized_columns));
  run_parallel(runs.outer * per_piece * parts, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t skip = i % parts * quantized_columns, at = i / parts % per_piece,
                         piece = i / parts / per_piece;
      const std::int64_t n = std::min({quantized_columns, runs.run - skip, runs.size - at * runs.run - skip});
      if (n <= 0) continue;
      const std::int64_t scale = piece * runs.outer_scales + at / runs.group * runs.group_scales + skip * runs.step;
      work(QuantizedRun{piece * runs.size + at * runs.run + skip, n, scale, runs.step});
    }
  });
}

// y = saturate(round(sums a_scale b_scale / y_scale) + y_zero), as QuantizeLinear rounds; sums are i32, scales floats
// that broadcast with them. Error(unsupported) where y_scale or a_scale is known to be more than one.
ValueId requantized(NodeBuilder& build, ValueId sums, ValueId a_scale, ValueId b_scale, ValueId y_scale,
                    ValueId y_zero);

}  // namespace tessera
