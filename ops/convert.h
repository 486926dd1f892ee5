#pragma once
// Element type conversion over whole tensors: Cast, CastLike.
#include <cstring>

#include "ops/elementwise.h"
#include "runtime/tensor/convert.h"

namespace tessera {

// Every element of `from` converted to the type of `to`; equal sizes. All 13 x 13 pairs.
void convert_elements(const Tensor& from, Tensor& to);

}  // namespace tessera
