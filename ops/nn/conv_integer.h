#pragma once
// What ConvInteger and QLinearConv are imported as.
#include "runtime/op/builder.h"
#include "runtime/tensor/shape.h"

namespace tessera {

// The shape of the weight w. Error(unsupported) where it is not known.
Shape known_weight(NodeBuilder& build, ValueId w);

// v, one or one per map, as [M or 1, 1...] of `rank`: what broadcasts with the weight or, of one dim less, with sums.
// Error(unsupported) for v of another rank than 0 or 1.
ValueId per_map(NodeBuilder& build, ValueId v, int rank);

// i32 sums of (x - x_zero) (w - w_zero) over windows, padding counting as x_zero. Zero points may be ValueId::none: 0.
// `attributes` are Conv's.
ValueId conv_integer(NodeBuilder& build, ValueId x, ValueId x_zero, ValueId w, ValueId w_zero,
                     const Attributes& attributes);

}  // namespace tessera
