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

}  // namespace tessera
