#pragma once
// Comparing tensors in tests. NaN equals NaN; a NaN on one side only, or infinities of different sign, differ.
#include <gtest/gtest.h>

#include "runtime/tensor/tensor.h"

namespace tessera {

struct Rounding {
  double absolute = 1e-5, relative = 1e-5;
};
// The rounding error to expect of results stored as `t`.
Rounding tolerance_of(DType t);

// Same type and shape; floats within tolerance, everything else exact.
testing::AssertionResult close(const Tensor& got, const Tensor& expected, Rounding tolerance = {});

}  // namespace tessera
