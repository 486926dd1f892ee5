#pragma once
// Which elements a Slice takes: Slice itself and its gradient.
#include "runtime/tensor/tensor.h"

namespace tessera {

// Along every axis of the input: the first index, the step between indices, and how many there are.
struct SliceRange {
  Shape first, step, size;
};

// ONNX Slice-13: negative starts and ends count from the end, both are clamped. `axes` and `steps` may be null: the
// first axes, step 1. Error(bad_input) for lists of different lengths, repeated axes or a step of 0.
SliceRange slice_range(const Shape& x, const Tensor& starts, const Tensor& ends, const Tensor* axes,
                       const Tensor* steps);

// Where a slice lies in a dense tensor of shape x: the offset of its first element, and its strides.
struct SlicePlace {
  std::int64_t offset = 0;
  Shape strides;
};
SlicePlace slice_place(const Shape& x, const SliceRange& range);

}  // namespace tessera
