#pragma once
// Is there a NaN, is everything finite: bits are looked at, in parallel, at the speed of memory.
#include "runtime/tensor/tensor.h"

namespace tessera {

// False for types that have no NaN.
bool has_nan(const Tensor& t);
// True for types that are always finite.
bool all_finite(const Tensor& t);
// The place of the first NaN, or -1.
std::int64_t first_nan(const Tensor& t);

// A [batch, heads, rows, dim] operand where it lies; strides in elements, dim is contiguous.
struct ScannedView {
  DType dtype;
  const void* data;
  std::int64_t batch, heads, rows, dim, batch_stride, head_stride, row_stride;
};
bool has_nan(const ScannedView& v);
bool all_finite(const ScannedView& v);

}  // namespace tessera
